#include "prune/layer_order.h"

#include <algorithm>

#include "prune/pruned_part.h"

namespace esparse {
namespace {

double total(const Matrix<float>& matrix) {
  double sum = 0;
  for (float value : matrix.values()) sum += value;
  return sum;
}

Matrix<float> stack_normalised(const std::vector<Matrix<float>>& parts) {
  int64_t rows = 0;
  for (const auto& part : parts) rows += part.rows();
  Matrix<float> stacked(rows, parts[0].cols());
  int64_t at = 0;
  for (const auto& part : parts) {
    const double sum = total(part);
    const double scale = sum > 0 ? static_cast<double>(part.rows() * part.cols()) / sum : 0.0;
    for (int64_t i = 0; i < part.rows(); ++i, ++at)
      for (int64_t j = 0; j < part.cols(); ++j) stacked(at, j) = static_cast<float>(part(i, j) * scale);
  }
  return stacked;
}

// One order per KV head, found on the slices of its query heads one below the other, repeated for each of them.
ShuffleResult per_head_order(const Matrix<float>& saliency, const OrderFreedom& freedom, NmPattern pattern,
                             const ShuffleOptions& options, PruneAccelerator* accelerator) {
  const int64_t width = saliency.cols() / freedom.num_heads, shared = freedom.num_heads / freedom.num_kv_heads;
  if (width % pattern.group != 0) return find_channel_order(saliency.view(), pattern, {});  // stays as it is
  ShuffleResult result{{}, 0, 0, 0};
  for (int64_t kv_head = 0; kv_head < freedom.num_kv_heads; ++kv_head) {
    Matrix<float> slices(saliency.rows() * shared, width);
    for (int64_t s = 0; s < shared; ++s)
      for (int64_t i = 0; i < saliency.rows(); ++i) {
        const auto slice = saliency.row(i).subspan((kv_head * shared + s) * width, width);
        std::copy(slice.begin(), slice.end(), slices.row(s * saliency.rows() + i).begin());
      }
    const ShuffleResult within = find_channel_order(slices.view(), pattern, options, accelerator);
    for (int64_t s = 0; s < shared; ++s)
      for (int32_t channel : within.order)
        result.order.push_back(static_cast<int32_t>((kv_head * shared + s) * width + channel));
    const auto heads = static_cast<double>(freedom.num_kv_heads);
    result.retained_identity += within.retained_identity / heads;
    result.retained += within.retained / heads;
    result.retained_on_searched_rows += within.retained_on_searched_rows / heads;
  }
  return result;
}

}  // namespace

ChannelOrder plain_order(std::span<const int32_t> last, int64_t channels) {
  if (last.empty() || last.front() == channels - static_cast<int64_t>(last.size())) return {};
  ChannelOrder order = all_but(last, channels);
  order.insert(order.end(), last.begin(), last.end());
  return order;
}

ShuffleResult find_layer_order(const std::vector<Matrix<float>>& saliency, const OrderFreedom& freedom,
                               std::span<const int32_t> last, NmPattern pattern, const ShuffleOptions& options,
                               PruneAccelerator* accelerator) {
  Matrix<float> stacked = stack_normalised(saliency);
  if (freedom.num_heads > 1) {
    for (int64_t i = 0; i < stacked.rows(); ++i)  // heads that keep everything have no wishes
      for (const int32_t channel : last) stacked(i, channel) = 0.0f;
    return per_head_order(stacked, freedom, pattern, options, accelerator);
  }
  if (last.empty()) return find_channel_order(stacked.view(), pattern, options, accelerator);
  const ChannelOrder front = all_but(last, stacked.cols());
  const Matrix<float> searched = permute_columns<float>(stacked.view(), front);
  ShuffleResult result = find_channel_order(searched.view(), pattern, options, accelerator);
  for (int32_t& channel : result.order) channel = front[channel];
  result.order.insert(result.order.end(), last.begin(), last.end());
  return result;
}

}  // namespace esparse
