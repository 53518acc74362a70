// Which tokens of a text are predicted from which: the windows that perplexity is measured over.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse {

// text: one BOS in front of every document where the tokenizer wants it, and no other: Wanda, SparseGPT.
// window: one in front of every window, which then has one text token less; every text token is predicted.
// none: no BOS at all.
enum class BosRule { text, window, none };
Result<BosRule> parse_bos_rule(std::string_view text);
std::string_view bos_rule_name(BosRule rule);

struct WindowOptions {
  int64_t context = 2048;           // tokens a window, a BOS of its own included
  int64_t stride = 0;               // from one window to the next; 0: `context`, so that windows do not overlap
  std::optional<int32_t> bos = {};  // put in front of every window
  bool keep_short_last = false;     // of windows that do not overlap; a single short one is always kept
  int64_t max_windows = 0;          // of all documents together; 0: all
};

struct TextWindow {
  std::span<const int32_t> text;  // of a document; a BOS of its own is not in it
  int64_t scored = 0;             // the last so many tokens count

  // What the model reads.
  std::vector<int32_t> tokens(std::optional<int32_t> bos) const;
};

// Windows of `stride` = `context` stand side by side, every token but the first of each counts, and an incomplete last
// one is dropped. A smaller stride slides: each window counts only tokens that none before has counted, the last window
// ends where the text ends, and every token of the text but the first counts once. Documents shorter than 2 tokens (1
// with `bos`) have no windows. Refused: a context below 2, a stride outside 1 to the text tokens of a window, no
// windows at all. The windows point into `documents`.
Result<std::vector<TextWindow>> cut_windows(std::span<const std::vector<int32_t>> documents,
                                            const WindowOptions& options);

// Over all windows.
int64_t scored_tokens(std::span<const TextWindow> windows);

}  // namespace esparse
