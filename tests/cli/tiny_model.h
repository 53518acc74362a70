// Model directories small enough to prune in milliseconds: a golden checkpoint with a tokenizer of single letters,
// and ways to damage one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "support/temp_dir.h"

namespace esparse {

inline constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,";
inline constexpr int kSpecialTokens = 3;                                            // <unk>, <s>, </s>
inline constexpr int kTokens = kSpecialTokens + static_cast<int>(kLetters.size());  // the models have 96 ids

inline std::string token_text(int id) {
  static constexpr std::string_view kSpecial[] = {"<unk>", "<s>", "</s>"};
  return std::string(id < kSpecialTokens ? kSpecial[id] : kLetters.substr(id - kSpecialTokens, 1));
}

// No BOS, so n letters are n tokens; `extra_id` adds a token of that id.
inline std::string tokenizer_json(int extra_id = 0) {
  std::string vocab;
  for (int id = 0; id < kTokens; ++id)
    vocab += (id == 0 ? "\"" : ", \"") + token_text(id) + "\": " + std::to_string(id);
  if (extra_id > 0) vocab += ", \"extra\": " + std::to_string(extra_id);
  return R"({"model": {"type": "BPE", "unk_token": "<unk>", "merges": [], "vocab": {)" + vocab +
         R"(}}, "decoder": {"type": "Fuse"}})";
}

// Letters in an order that differs with the seed.
inline std::string random_letters(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text += kLetters[random() % kLetters.size()];
  return text;
}

// The golden checkpoint without its expected values, and a tokenizer.
inline void compose_model(const std::filesystem::path& target, const std::string& golden) {
  namespace fs = std::filesystem;
  fs::create_directories(target);
  for (const auto& entry : fs::directory_iterator(fs::path(ESPARSE_SOURCE_DIR) / "tests/golden/models" / golden)) {
    const fs::path name = entry.path().filename();
    if (name != "expected.safetensors") fs::copy_file(entry.path(), target / name);
  }
  write_text(target / "tokenizer.json", tokenizer_json());
}

// A working directory with `model`, `calib.txt` and `eval.txt`.
class Workplace {
 public:
  explicit Workplace(const std::string& golden = "qwen3") {
    compose_model(directory_ / "model", golden);
    write_text(directory_ / "calib.txt", random_letters(1000, 1));
    write_text(directory_ / "eval.txt", random_letters(200, 2));
  }
  const std::filesystem::path& path() const { return directory_.path(); }
  std::filesystem::path operator/(std::string_view name) const { return directory_ / name; }

  // Every file below by its relative name, directories with a slash and no content; hidden ones included.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
      const std::string name = std::filesystem::relative(entry.path(), path()).string();
      entry.is_directory() ? found[name + "/"] = "" : found[name] = read_text(entry.path());
    }
    return found;
  }

 private:
  TempDir directory_;
};

// Compares names first: a difference of contents would print whole weight files.
inline void expect_same_files(const std::map<std::string, std::string>& before,
                              const std::map<std::string, std::string>& after) {
  std::vector<std::string> names_before, names_after;
  for (const auto& [name, content] : before) names_before.push_back(name);
  for (const auto& [name, content] : after) names_after.push_back(name);
  EXPECT_EQ(names_before, names_after);
  for (const auto& [name, content] : before)
    EXPECT_TRUE(after.contains(name) && after.at(name) == content) << name << " has changed";
}

// Replaces the one occurrence of `from`.
inline void replace_in_file(const std::filesystem::path& path, std::string_view from, std::string_view to) {
  std::string content = read_text(path);
  const size_t at = content.find(from);
  ASSERT_NE(at, std::string::npos) << from << " is not in " << path;
  write_text(path, content.replace(at, from.size(), to));
}

// Overwrites one float of a tensor; finds it by the header's text, which the writer of the golden files made compact.
inline void patch_f32(const std::filesystem::path& path, const std::string& tensor, int64_t element, float value) {
  std::string content = read_text(path);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, content.data(), sizeof(header_bytes));
  const std::string key = "\"data_offsets\":[";
  const size_t entry = content.find("\"" + tensor + "\":{");
  ASSERT_NE(entry, std::string::npos) << tensor << " is not in " << path;
  const size_t offset = std::stoull(content.substr(content.find(key, entry) + key.size(), 20));
  const size_t at = sizeof(header_bytes) + header_bytes + offset + static_cast<size_t>(element) * sizeof(float);
  ASSERT_LE(at + sizeof(float), content.size());
  std::memcpy(content.data() + at, &value, sizeof(float));
  write_text(path, content);
}

}  // namespace esparse
