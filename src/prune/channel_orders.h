// Puts the channels of a block into new orders without changing what the block computes: columns of the linears are
// permuted, and the order is folded into whatever produces their input, so that it costs nothing at run time.
#pragma once

#include <array>

#include "model/config.h"
#include "model/decoder_block.h"
#include "prune/shuffle.h"

namespace esparse {

// Per input site; index with static_cast<size_t>(InputSite); empty = identity. The order at `output` must permute
// within heads, alike for all query heads of one KV head.
using BlockOrders = std::array<ChannelOrder, kInputSites.size()>;

// The new order of a linear's rows: v follows the order at `output`, gate and up (or fc1) follow the order at `down`,
// all others stay (empty).
ChannelOrder row_order(const DecoderBlock& block, const LinearLayer& linear, const BlockOrders& orders,
                       const ModelConfig& config);

// Permutes rows, biases and columns of the dense linears, and lets the norms write the orders at `attention` and `mlp`.
void apply_channel_orders(DecoderBlock& block, const BlockOrders& orders, const ModelConfig& config);

}  // namespace esparse
