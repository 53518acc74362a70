#include "prune/channel_orders.h"

namespace esparse {
namespace {

const ChannelOrder& at(const BlockOrders& orders, InputSite site) { return orders[static_cast<size_t>(site)]; }

// The order that the rows of v must take so that the attended values arrive in the order of o's columns.
ChannelOrder value_row_order(const ChannelOrder& output_order, const ModelConfig& config) {
  ChannelOrder rows;
  if (output_order.empty()) return rows;
  const int64_t shared = config.num_heads / config.num_kv_heads, width = config.head_dim;
  for (int64_t kv_head = 0; kv_head < config.num_kv_heads; ++kv_head)
    for (int64_t k = 0; k < width; ++k) {
      const int64_t first = kv_head * shared * width;  // its first query head; the others have the same order
      rows.push_back(static_cast<int32_t>(kv_head * width + output_order[first + k] - first));
    }
  return rows;
}

}  // namespace

ChannelOrder row_order(const DecoderBlock& block, const LinearLayer& linear, const BlockOrders& orders,
                       const ModelConfig& config) {
  if (&linear == &block.v) return value_row_order(at(orders, InputSite::output), config);
  if (&linear == &block.gate || &linear == &block.up) return at(orders, InputSite::down);
  return {};
}

void apply_channel_orders(DecoderBlock& block, const BlockOrders& orders, const ModelConfig& config) {
  for (InputSite site : kInputSites)
    for (LinearLayer* linear : block.linears_at(site))
      linear->permute(row_order(block, *linear, orders, config), at(orders, site));
  block.attention_order = at(orders, InputSite::attention);
  block.mlp_order = at(orders, InputSite::mlp);
}

}  // namespace esparse
