#include "eval/windows.h"

#include <algorithm>
#include <array>
#include <utility>

namespace esparse {
namespace {

constexpr std::array<std::pair<std::string_view, BosRule>, 3> kRules = {
    {{"text", BosRule::text}, {"window", BosRule::window}, {"none", BosRule::none}}};

// Appends the windows of one document while `room` lasts.
void cut_document(std::span<const int32_t> ids, const WindowOptions& options, int64_t room,
                  std::vector<TextWindow>& windows) {
  const int64_t tokens = static_cast<int64_t>(ids.size()), own_bos = options.bos ? 1 : 0;
  const int64_t width = options.context - own_bos;  // text tokens of a window
  const int64_t stride = options.stride == 0 ? width : options.stride;
  const int64_t unpredictable = 1 - own_bos;  // the first token of a text that nothing stands before
  if (tokens <= unpredictable) return;
  int64_t counted = unpredictable;  // text tokens [0, counted) are done
  for (int64_t first = 0; room > 0; first += stride, --room) {
    const int64_t end = std::min(first + width, tokens);
    const bool complete = end - first == width;
    if (stride == width && !complete && first > 0 && !options.keep_short_last) break;
    if (stride == width) counted = first + unpredictable;
    if (end <= counted) break;
    windows.push_back({ids.subspan(first, end - first), end - counted});
    counted = end;
    if (end == tokens) break;
  }
}

}  // namespace

std::vector<int32_t> TextWindow::tokens(std::optional<int32_t> bos) const {
  std::vector<int32_t> all;
  if (bos) all.push_back(*bos);
  all.insert(all.end(), text.begin(), text.end());
  return all;
}

Result<BosRule> parse_bos_rule(std::string_view text) {
  for (const auto& [name, rule] : kRules)
    if (text == name) return rule;
  return invalid_argument("--bos: expected text, window or none, got \"{}\"", text);
}

std::string_view bos_rule_name(BosRule rule) {
  for (const auto& [name, candidate] : kRules)
    if (candidate == rule) return name;
  return "?";
}

Result<std::vector<TextWindow>> cut_windows(std::span<const std::vector<int32_t>> documents,
                                            const WindowOptions& options) {
  if (options.context < 2) return invalid_argument("--context: expected at least 2 tokens, got {}", options.context);
  const int64_t width = options.context - (options.bos ? 1 : 0);
  if (options.stride < 0 || options.stride > width)
    return invalid_argument("--stride: expected 1 to {} tokens (the text of a window), got {}", width, options.stride);
  std::vector<TextWindow> windows;
  const int64_t most = options.max_windows > 0 ? options.max_windows : INT64_MAX;
  int64_t tokens = 0;
  for (const std::vector<int32_t>& document : documents) {
    cut_document(document, options, most - static_cast<int64_t>(windows.size()), windows);
    tokens += static_cast<int64_t>(document.size());
  }
  if (windows.empty()) return invalid_argument("the text has {} tokens, at least 2 are needed", tokens);
  return windows;
}

int64_t scored_tokens(std::span<const TextWindow> windows) {
  int64_t tokens = 0;
  for (const TextWindow& window : windows) tokens += window.scored;
  return tokens;
}

}  // namespace esparse
