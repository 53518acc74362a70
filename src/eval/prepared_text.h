// A text made ready to be measured on: tokenised, cut into windows, and described.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/status.h"
#include "eval/logits_file.h"
#include "eval/windows.h"
#include "io/json.h"
#include "text/eval_text.h"
#include "text/tokenizer.h"

namespace esparse {

struct TextOptions {
  std::filesystem::path file;
  JoinRule join = JoinRule::file;
  BosRule bos = BosRule::text;
  int64_t context = 0;      // 0: 2048, what Wanda and SparseGPT report, or the model's positions if those are fewer
  int64_t stride = 0;       // 0: windows side by side
  int64_t max_windows = 0;  // 0: all
};

// Move-only: windows point into the documents.
struct PreparedText {
  PreparedText() = default;
  PreparedText(PreparedText&&) = default;
  PreparedText& operator=(PreparedText&&) = default;
  PreparedText(const PreparedText&) = delete;

  TextOptions options;  // context and stride as they were used
  std::vector<std::vector<int32_t>> documents;
  std::vector<TextWindow> windows;
  std::optional<int32_t> bos;  // of every window
  std::string sha256;          // of the file
  int64_t tokens = 0;          // of the text, without any BOS
  int64_t bytes = 0;           // of the text, documents joined

  // Everything that decides the figures but the model, as a file of logits records it.
  Conditions conditions() const;
  Json facts() const;
};

// `max_positions`: of the model. Errors name file or option.
Result<PreparedText> prepare_text(const TextOptions& options, const Tokenizer& tokenizer, int64_t max_positions);

}  // namespace esparse
