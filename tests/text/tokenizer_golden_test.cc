// Every tokenizer under tests/golden/tokenizers must give the reference library's ids and text, exactly.
// ESPARSE_GOLDEN_TOKENIZERS adds folders (separated by colons); such a folder may bring its own lines.json.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "io/json.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

fs::path golden_root() { return fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/tokenizers"; }

std::vector<fs::path> golden_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(golden_root(), error)) {
    if (fs::exists(entry.path() / "expected.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  const char* extra = std::getenv("ESPARSE_GOLDEN_TOKENIZERS");
  std::stringstream list(extra == nullptr ? "" : extra);
  for (std::string folder; std::getline(list, folder, ':');) {
    if (!folder.empty()) folders.emplace_back(folder);
  }
  return folders;
}

Json read(const fs::path& file) {
  auto document = read_json(file);
  EXPECT_TRUE(document.ok()) << document.status().message();
  return document.ok() ? *document : Json();
}

void compare_line(const Tokenizer& tokenizer, const std::string& line, const Json& expected, size_t i) {
  const auto ids = tokenizer.encode(line, true);
  const auto plain = tokenizer.encode(line, false);
  ASSERT_TRUE(ids.ok()) << ids.status().message();
  ASSERT_TRUE(plain.ok()) << plain.status().message();
  ASSERT_EQ(*plain, expected["ids_plain"][i].get<Ids>()) << "line " << i << ": " << Json(line);
  ASSERT_EQ(*ids, expected["ids"][i].get<Ids>()) << "line " << i << ": " << Json(line);
  const auto text = tokenizer.decode(*plain);
  ASSERT_TRUE(text.ok()) << text.status().message();
  // Null where versions of the reference disagree. A cut character at the end stays as bytes here, U+FFFD there.
  if (!expected["decoded"][i].is_null()) {
    ASSERT_EQ(repair_utf8(*text), expected["decoded"][i].get<std::string>()) << "line " << i << ": " << Json(line);
  }
  // BOS is what encode(.., true) puts in front; a line's own first token may be the same one.
  if (tokenizer.bos_id()) {
    ASSERT_FALSE(ids->empty());
    ASSERT_EQ(ids->front(), *tokenizer.bos_id());
  } else if (!ids->empty()) {
    ASSERT_EQ(ids->front(), plain->front());
  }
}

void compare_folder(const fs::path& folder) {
  SCOPED_TRACE(folder.string());
  const auto tokenizer = load_tokenizer(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const Json lines = read(fs::exists(folder / "lines.json") ? folder / "lines.json" : golden_root() / "lines.json");
  const Json expected = read(folder / "expected.json");
  ASSERT_GT(lines.size(), 0U);
  for (const char* key : {"ids", "ids_plain", "decoded"}) ASSERT_EQ(expected[key].size(), lines.size()) << key;
  for (size_t i = 0; i < lines.size(); ++i) {
    compare_line(**tokenizer, lines[i].get<std::string>(), expected, i);
    if (testing::Test::HasFatalFailure()) return;
  }
  std::printf("%s: %zu lines agree\n", folder.filename().c_str(), lines.size());
}

TEST(TokenizerGolden, AgreesWithTheReference) {
  const std::vector<fs::path> folders = golden_folders();
  ASSERT_FALSE(folders.empty()) << "no folder with expected.json under " << golden_root();
  for (const fs::path& folder : folders) compare_folder(folder);
}

}  // namespace
}  // namespace esparse
