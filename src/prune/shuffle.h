// Channel shuffle: orders of the input channels under which fewer important weights share an N:M group.
// An order is a vector: new position k holds old channel order[k].
// Saliency is [out, in], finite and not negative; in is a multiple of M where nothing else is said. Everything here
// gives the same orders for any number of threads and on any machine.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "sparse/pattern.h"

namespace esparse {

class PruneAccelerator;

using ChannelOrder = std::vector<int32_t>;

enum class DealStyle { snake, deal };
Result<DealStyle> parse_deal_style(std::string_view text);  // "snake", "deal"

enum class ShuffleMethod { none, global, local, global_local, lsa };

struct ShuffleOptions {
  ShuffleMethod method = ShuffleMethod::none;
  DealStyle deal = DealStyle::snake;  // global
  int64_t block = 256;                // local: channels per search block (E-Sparse), rounded down to a multiple of M
  int64_t lsa_blocks = 1;             // lsa: pieces of the order, about equally wide, that are assigned each for itself
  int64_t rows = 0;                   // the search sees only so many rows, evenly spaced; 0 = all

  // "none", "global", "local", "global+local", "lsa".
  static Result<ShuffleOptions> parse(std::string_view text);
  std::string_view text() const;
  bool operator==(const ShuffleOptions&) const = default;

  bool deals() const { return method == ShuffleMethod::global || method == ShuffleMethod::global_local; }
  bool swaps() const { return method == ShuffleMethod::local || method == ShuffleMethod::global_local; }
};

// The order, and what it is worth: shares, 0 to 1, of the summed saliency that N:M keeps (1 where all of it is zero).
struct ShuffleResult {
  ChannelOrder order;
  double retained_identity = 1.0;  // in the old order, all rows
  double retained = 1.0;           // under `order`, all rows; never less than in the old order
  // What the search believed: under the order it proposed, on the rows it saw. Above `retained` where it fitted those
  // rows more than the others.
  double retained_on_searched_rows = 1.0;
};

ChannelOrder identity_order(int64_t channels);

// E-Sparse global naive shuffle: channels sorted by descending mean saliency (ties to the lower channel) are dealt to
// the groups.
ChannelOrder global_naive_shuffle(MatrixView<const float> saliency, NmPattern pattern, DealStyle style);

// RIA's heuristic allocation: the same with channels sorted ascending, dealt in a snake.
ChannelOrder heuristic_allocation(MatrixView<const float> saliency, NmPattern pattern);

// E-Sparse local block shuffle: greedy channel swaps inside consecutive blocks of `order`. Never lowers the retained
// mass. Memory of a block at work: 8 * block^2 + 8 * out * block bytes, so a block of thousands of channels is a lot;
// time grows with out * block^2.
ChannelOrder local_block_shuffle(MatrixView<const float> saliency, NmPattern pattern, ChannelOrder order, int64_t block,
                                 PruneAccelerator* accelerator = nullptr);

// RIA's linear sum assignment: for one slot of the groups after the other, the best exchange of the channels in that
// slot among all groups of a block. Never lowers the retained mass. With G groups in a block: M * out * G^2 maxima and
// additions and M assignments of O(G^3); 8 * G^2 + 2048 * G * M bytes.
ChannelOrder lsa_shuffle(MatrixView<const float> saliency, NmPattern pattern, ChannelOrder order, int64_t blocks);

// What the options ask for, or the identity where that retains more. `local` starts from the identity, `global+local`
// from the identity and from the dealt order, and the better one is taken; `lsa` starts from the heuristic allocation.
// For any in: the channels of a shorter last group stay where they are, the others are ordered as if it were not there.
// `accelerator`: makes the sums of local searches, with the same result; null for the CPU.
ShuffleResult find_channel_order(MatrixView<const float> saliency, NmPattern pattern, const ShuffleOptions& options,
                                 PruneAccelerator* accelerator = nullptr);

// Sum over rows and groups of the N largest scores under `order`, in double. `order` may name only some of the
// channels; where M does not divide them, a shorter last group counts the scores that it keeps.
double retained_mass(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> order);

}  // namespace esparse
