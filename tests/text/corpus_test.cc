#include "text/corpus.h"

#include <set>

#include "text/tokenizer_files.h"

namespace esparse {
namespace {

using Ids = std::vector<int32_t>;
using Windows = std::vector<Ids>;

// One token per byte, its value; 1000 in front when asked for special tokens. Counts what it encodes.
class ByteTokenizer final : public Tokenizer {
 public:
  Result<Ids> encode(std::string_view text, bool add_special) const override {
    ++calls;
    Ids ids;
    if (add_special) ids.push_back(1000);
    for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  Result<std::string> decode(std::span<const int32_t>) const override { return std::string(); }
  int64_t vocab_size() const override { return 1001; }
  std::optional<int32_t> bos_id() const override { return 1000; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }

  mutable int calls = 0;
};

Result<Windows> draw(const std::vector<std::string>& documents, int64_t samples, int64_t seqlen, uint64_t seed = 0) {
  return draw_calibration_windows(documents, ByteTokenizer(), samples, seqlen, seed, "corpus.txt");
}

TEST(ReadDocuments, PlainTextIsOneDocument) {
  const TempDir dir;
  write_text(dir / "a.txt", "one\ntwo\n");
  EXPECT_EQ(*read_documents(dir / "a.txt"), std::vector<std::string>{"one\ntwo\n"});
}

TEST(ReadDocuments, JsonLinesByNameOrByContent) {
  const TempDir dir;
  const std::string lines = "{\"text\": \"one\", \"n\": 1}\r\n\n  \n{\"text\": \"two\\n\"}";
  for (const char* name : {"a.jsonl", "a.txt"}) {
    write_text(dir / name, lines);
    const auto documents = read_documents(dir / name);
    ASSERT_OK(documents);
    EXPECT_EQ(*documents, (std::vector<std::string>{"one", "two\n"}));
  }
}

TEST(ReadDocuments, ErrorsNameFileAndLine) {
  const TempDir dir;
  const auto refused = [&dir](const std::string& text, std::string_view part) {
    write_text(dir / "a.jsonl", text);
    EXPECT_FAILURE(read_documents(dir / "a.jsonl"), StatusKind::corruption, part);
    EXPECT_FAILURE(read_documents(dir / "a.jsonl"), StatusKind::corruption, "a.jsonl");
  };
  refused("{\"text\": \"one\"}\n\n{\"text\": 3}\n", "line 3");
  refused("{\"text\": \"one\"}\n{\"txt\": \"two\"}\n", "line 2");
  refused("{\"text\": \"one\"}\n{\"text\": \"two\"\n", "line 2");
  refused("[]\n", "line 1");
  refused("plain\n", "line 1");
  refused("", "empty");
  EXPECT_FAILURE(read_documents(dir / "absent.txt"), StatusKind::not_found, "absent.txt");
}

// These windows are part of the promise "the same on every machine": worked out with a mt19937_64 written from the C++
// standard's definition (checked by its 10000th value, 9981545732273789042) and the rejection rule value < 2^64 mod n.
TEST(DrawWindows, IsTheSameOnEveryMachine) {
  const std::vector<std::string> documents = {"abcdefghijklmnopqrstuvwxyz", "0123456789", "ABCDEFGHIJKLMNOP"};
  const auto windows = draw(documents, 4, 3, 42);
  ASSERT_OK(windows);
  EXPECT_EQ(*windows, (Windows{{104, 105, 106}, {53, 54, 55}, {70, 71, 72}, {1000, 48, 49}}));
  EXPECT_EQ(*windows, *draw(documents, 4, 3, 42));
  EXPECT_NE(*windows, *draw(documents, 4, 3, 43));
  // More windows begin with the same ones.
  const auto more = draw(documents, 8, 3, 42);
  EXPECT_EQ(Windows(more->begin(), more->begin() + 4), *windows);
}

TEST(DrawWindows, TakesOnlyDocumentsLongerThanAWindow) {
  const std::vector<std::string> documents = {"aaa", "bbbb", "ccccc", "dddddd", "e"};  // plus one special token each
  std::set<int32_t> letters;
  const auto windows = draw(documents, 200, 5);
  ASSERT_OK(windows);
  for (const Ids& window : *windows) {
    ASSERT_EQ(window.size(), 5U);
    letters.insert(window.back());
  }
  EXPECT_EQ(letters, (std::set<int32_t>{'c', 'd'}));
}

TEST(DrawWindows, LongDocumentsAreEquallyLikely) {
  std::vector<std::string> documents(50, "short");
  documents.push_back(std::string(100, 'x'));
  documents.push_back(std::string(10000, 'y'));
  const auto windows = draw(documents, 2000, 20);
  ASSERT_OK(windows);
  int of_x = 0;
  for (const Ids& window : *windows) of_x += window.back() == 'x';
  EXPECT_NEAR(of_x, 1000, 5 * 22);  // five standard deviations of a fair coin thrown 2000 times
}

TEST(DrawWindows, EveryStartButTheLastOccurs) {
  std::set<int32_t> starts;
  const auto windows = draw({"0123456789"}, 500, 4);  // 11 tokens: starts 0 to 6, as randint(0, length - seqlen - 1)
  for (const Ids& window : *windows) starts.insert(window.front());
  EXPECT_EQ(starts, (std::set<int32_t>{1000, '0', '1', '2', '3', '4', '5'}));
}

TEST(DrawWindows, JoinsShortDocumentsWithBlankLines) {
  const auto windows = draw({"ab", "cd", "ef"}, 2, 11);  // 1 + 6 + 2 * 2 tokens: exactly one window
  ASSERT_OK(windows);
  const Ids all = {1000, 'a', 'b', '\n', '\n', 'c', 'd', '\n', '\n', 'e', 'f'};
  EXPECT_EQ(*windows, (Windows{all, all}));
}

TEST(DrawWindows, RefusesAShortCorpus) {
  EXPECT_FAILURE(draw({"ab", "cd"}, 1, 8), StatusKind::invalid_argument, "expected at least 8 tokens, got 7");
  EXPECT_FAILURE(draw({"ab", "cd"}, 1, 8), StatusKind::invalid_argument, "corpus.txt");
  EXPECT_FAILURE(draw({}, 1, 8), StatusKind::invalid_argument, "got 1");
  EXPECT_FAILURE(draw({"abcdef"}, 0, 2), StatusKind::invalid_argument, "corpus.txt");
  EXPECT_FAILURE(draw({"abcdef"}, 1, 0), StatusKind::invalid_argument, "corpus.txt");
  EXPECT_FAILURE(draw({"abcdef"}, 1, -5), StatusKind::invalid_argument, "-5");
}

TEST(DrawWindows, TokenisesOnlyWhatItDraws) {
  const std::vector<std::string> documents(1000, std::string(100, 'x'));
  const ByteTokenizer tokenizer;
  ASSERT_OK(draw_calibration_windows(documents, tokenizer, 16, 50, 7, "corpus"));
  EXPECT_LE(tokenizer.calls, 16);
}

}  // namespace
}  // namespace esparse
