#include "text/corpus.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <random>

#include "base/random.h"
#include "io/files.h"
#include "io/json.h"

namespace esparse {
namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

Result<std::vector<std::string>> parse_lines(std::string_view content, const std::string& file) {
  std::vector<std::string> documents;
  int64_t number = 0;
  while (!content.empty()) {
    ++number;
    const size_t end = std::min(content.find('\n'), content.size());
    const std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    if (is_blank(line)) continue;
    const std::string label = fmt::format("{}: line {}", file, number);
    ESPARSE_ASSIGN_OR_RETURN(const Json object, parse_json(line, label));
    ESPARSE_ASSIGN_OR_RETURN(std::string text, JsonFields(object, label).string("text"));
    documents.push_back(std::move(text));
  }
  return documents;
}

// Draws documents that are longer than a window, tokenising each at most once and only when it is drawn.
class DocumentDrawer {
 public:
  DocumentDrawer(const std::vector<std::string>& documents, const Tokenizer& tokenizer, size_t seqlen)
      : documents_(documents), tokenizer_(tokenizer), seqlen_(seqlen), tokens_(documents.size()) {
    for (size_t i = 0; i < documents.size(); ++i) candidates_.push_back(i);
  }

  // Null when every document turned out too short. A short one leaves the urn, so each long one stays equally likely.
  Result<const std::vector<int32_t>*> draw(std::mt19937_64& random) {
    while (!candidates_.empty()) {
      const size_t at = draw_below(random, candidates_.size());
      std::optional<std::vector<int32_t>>& tokens = tokens_[candidates_[at]];
      if (!tokens) {
        ESPARSE_ASSIGN_OR_RETURN(tokens, tokenizer_.encode(documents_[candidates_[at]], true));
      }
      if (tokens->size() > seqlen_) return &*tokens;
      tokens.reset();
      candidates_[at] = candidates_.back();
      candidates_.pop_back();
    }
    return nullptr;
  }

 private:
  const std::vector<std::string>& documents_;
  const Tokenizer& tokenizer_;
  size_t seqlen_;
  std::vector<size_t> candidates_;
  std::vector<std::optional<std::vector<int32_t>>> tokens_;
};

std::vector<int32_t> cut_window(const std::vector<int32_t>& tokens, size_t seqlen, std::mt19937_64& random) {
  // As the scripts do, a document one window long has one start, and the last start of a longer one is never drawn.
  const size_t starts = std::max<size_t>(tokens.size() - seqlen, 1);
  const auto begin = tokens.begin() + static_cast<ptrdiff_t>(draw_below(random, starts));
  return {begin, begin + static_cast<ptrdiff_t>(seqlen)};
}

Result<std::vector<int32_t>> tokenize_joined(const std::vector<std::string>& documents, const Tokenizer& tokenizer) {
  std::string text;
  for (size_t i = 0; i < documents.size(); ++i) text.append(i == 0 ? "" : "\n\n").append(documents[i]);
  return tokenizer.encode(text, true);
}

}  // namespace

Result<std::vector<std::string>> read_documents(const std::filesystem::path& path) {
  ESPARSE_ASSIGN_OR_RETURN(std::string content, read_file(path, kMaxCorpusBytes));
  return parse_documents(std::move(content), path);
}

Result<std::vector<std::string>> parse_documents(std::string content, const std::filesystem::path& path) {
  std::vector<std::string> documents;
  if (path.extension() == ".jsonl" || content.starts_with('{')) {
    ESPARSE_ASSIGN_OR_RETURN(documents, parse_lines(content, path.string()));
  } else if (!content.empty()) {
    documents.push_back(std::move(content));
  }
  if (documents.empty()) return corruption("{}: expected text, got an empty file", path.string());
  return documents;
}

Result<std::vector<std::vector<int32_t>>> draw_calibration_windows(const std::vector<std::string>& documents,
                                                                   const Tokenizer& tokenizer, int64_t samples,
                                                                   int64_t seqlen, uint64_t seed,
                                                                   const std::string& label) {
  if (samples < 1 || seqlen < 1) {
    return invalid_argument("{}: expected at least 1 sample of at least 1 token, got {} of {}", label, samples, seqlen);
  }
  const auto length = static_cast<size_t>(seqlen);
  std::mt19937_64 random(seed);
  DocumentDrawer drawer(documents, tokenizer, length);
  std::vector<int32_t> joined;
  std::vector<std::vector<int32_t>> windows;
  while (windows.size() < static_cast<size_t>(samples)) {
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<int32_t>* tokens, drawer.draw(random));
    if (tokens == nullptr && joined.empty()) {
      ESPARSE_ASSIGN_OR_RETURN(joined, tokenize_joined(documents, tokenizer));
      if (joined.size() < length) {
        return invalid_argument("{}: the text is too short for a window: expected at least {} tokens, got {}", label,
                                seqlen, joined.size());
      }
    }
    windows.push_back(cut_window(tokens != nullptr ? *tokens : joined, length, random));
  }
  return windows;
}

}  // namespace esparse
