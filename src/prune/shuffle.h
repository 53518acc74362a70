// Channel shuffle: orders of the input channels under which fewer important weights share an N:M group.
// An order is a vector: new position k holds old channel order[k].
// Saliency is [out, in], finite; in is a multiple of M where nothing else is said.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "sparse/pattern.h"

namespace esparse {

using ChannelOrder = std::vector<int32_t>;

enum class DealStyle { snake, deal };
Result<DealStyle> parse_deal_style(std::string_view text);  // "snake", "deal"

struct ShuffleOptions {
  bool global = false;
  bool local = false;
  DealStyle deal = DealStyle::snake;
  int64_t block = 256;  // channels per local search block (E-Sparse), rounded down to a multiple of M

  // "none", "global", "local", "global+local".
  static Result<ShuffleOptions> parse(std::string_view text);
  std::string_view text() const;
  bool operator==(const ShuffleOptions&) const = default;
};

ChannelOrder identity_order(int64_t channels);

// E-Sparse global naive shuffle: channels sorted by descending mean saliency (ties to the lower channel) are dealt to
// the groups.
ChannelOrder global_naive_shuffle(MatrixView<const float> saliency, NmPattern pattern, DealStyle style);

// E-Sparse local block shuffle: greedy channel swaps inside consecutive blocks of `order`. Never lowers the retained
// mass. Deterministic for any thread count. Memory of a block at work: 8 * block^2 + 8 * out * block bytes, so a block
// of thousands of channels is a lot; time grows with out * block^2.
ChannelOrder local_block_shuffle(MatrixView<const float> saliency, NmPattern pattern, ChannelOrder order,
                                 int64_t block);

// What the options ask for. With local search it is run from the identity and (with global) from the dealt order, and
// the order that retains more is returned, so the result never retains less than the identity.
// For any in: the channels of a shorter last group stay where they are, the others are ordered as if it were not there.
ChannelOrder find_channel_order(MatrixView<const float> saliency, NmPattern pattern, const ShuffleOptions& options);

// Sum over rows and groups of the N largest scores under `order`, in double; for any in, a shorter last group counts
// the scores that it keeps.
double retained_mass(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> order);

}  // namespace esparse
