// Text for calibration and evaluation: plain text or JSON lines, tokenised and cut into windows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace esparse {

// The documents of a file: each line's "text" field for *.jsonl and *.jsonl-like content (first byte '{'), otherwise
// the whole file as one document. Errors name file and line.
Result<std::vector<std::string>> read_documents(const std::filesystem::path& path);
// The same for content that was read from `path`.
Result<std::vector<std::string>> parse_documents(std::string content, const std::filesystem::path& path);
// What a text may have at most.
inline constexpr int64_t kMaxCorpusBytes = int64_t{1} << 32;  // calibration and evaluation texts are a few megabytes

// `samples` windows of `seqlen` tokens, as the Wanda and SparseGPT scripts draw them: a random document longer than
// `seqlen`, a random start in it; each document is tokenised with its special tokens. When no document is long enough
// all are joined into one with blank lines. Windows are drawn from mt19937_64(seed); the same on every machine. Refuses
// a corpus shorter than one window (expected and got, in tokens).
Result<std::vector<std::vector<int32_t>>> draw_calibration_windows(const std::vector<std::string>& documents,
                                                                   const Tokenizer& tokenizer, int64_t samples,
                                                                   int64_t seqlen, uint64_t seed,
                                                                   const std::string& label);

}  // namespace esparse
