// A text to measure on, its documents put together the way published results do it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse {

// file:      the file as it stands; JSON lines: their texts, with a blank line between.
// wikitext:  every line is a document, as in the Hub's data set (blank lines become empty, others keep their newline),
//            with a blank line between: what Wanda and SparseGPT make of WikiText-2.
// space:     documents with one space between: what they make of C4 and PTB.
// separate:  every document is measured on its own.
enum class JoinRule { file, wikitext, space, separate };
Result<JoinRule> parse_join_rule(std::string_view text);
std::string_view join_rule_name(JoinRule rule);

struct EvalText {
  std::vector<std::string> documents;  // one, but for JoinRule::separate
  int64_t bytes = 0;                   // of all documents
  std::string file_sha256;             // of the file as it stands
};

// Plain text, or JSON lines with a field "text" (text/corpus.h). Refuses what read_documents() refuses.
Result<EvalText> read_eval_text(const std::filesystem::path& path, JoinRule rule);

}  // namespace esparse
