// Puts solutions into a block: values first, in the old order of channels, so that the rest of the block can be fed;
// orders and packing when the whole block is solved.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/decoder_block.h"
#include "prune/channel_orders.h"
#include "prune/target.h"

namespace esparse {

// Rounds to the type of the checkpoint. Refuses values that this makes infinite (a large one in f16).
Status set_weight(LinearLayer& linear, const Matrix<float>& weight);

// What a linear is packed to, once the orders are folded in.
struct PackTarget {
  PruneTarget target;
  SpenseLayout layout = {};  // spense
};
// Per input site and linear, as linears_at() has them.
using BlockTargets = std::array<std::vector<PackTarget>, kInputSites.size()>;

// What a linear [out, in] of `dtype` takes once it is packed to a target that is not unstructured.
int64_t packed_bytes(const PackTarget& target, DType dtype, int64_t out_features, int64_t in_features);

// Folds the orders into the block and packs the linears: those pruned to N:M or Spense as such, unstructured ones as a
// bitmap where that is smaller than dense.
Status fold_and_pack(DecoderBlock& block, const BlockOrders& orders, const BlockTargets& targets,
                     const ModelConfig& config);

}  // namespace esparse
