#include "prune/shuffle.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

double row_mass(const float* scores, NmPattern pattern, std::span<const int32_t> order) {
  std::array<float, NmPattern::kMaxGroup> top;  // the largest of the group so far, largest first
  double mass = 0.0;
  for (size_t first = 0; first < order.size(); first += pattern.group) {
    const auto width = static_cast<int64_t>(std::min<size_t>(pattern.group, order.size() - first));
    const int64_t kept = pattern.kept_in(width);
    std::fill_n(top.begin(), kept, -std::numeric_limits<float>::infinity());
    for (int64_t k = 0; k < width; ++k) {
      float score = scores[order[first + k]];
      for (int64_t n = 0; n < kept; ++n) {
        const float larger = std::max(score, top[n]);
        score = std::min(score, top[n]);
        top[n] = larger;
      }
    }
    for (int64_t n = 0; n < kept; ++n) mass += top[n];
  }
  return mass;
}

double total(MatrixView<const float> saliency) {
  double sum = 0.0;
  for (int64_t row = 0; row < saliency.rows; ++row)
    for (float score : saliency.row(row)) sum += score;
  return sum;
}

double retained_share(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> order) {
  const double sum = total(saliency);
  return sum > 0.0 ? retained_mass(saliency, pattern, order) / sum : 1.0;
}

Matrix<float> evenly_spaced_rows(MatrixView<const float> saliency, int64_t count) {
  Matrix<float> sample(count, saliency.cols);
  for (int64_t i = 0; i < count; ++i) std::ranges::copy(saliency.row(i * saliency.rows / count), sample.row(i).begin());
  return sample;
}

// The better of the searches from the identity and from the dealt order.
ChannelOrder search_from_both(MatrixView<const float> saliency, NmPattern pattern, const ShuffleOptions& options,
                              PruneAccelerator* accelerator) {
  ChannelOrder order =
      local_block_shuffle(saliency, pattern, identity_order(saliency.cols), options.block, accelerator);
  ChannelOrder dealt = global_naive_shuffle(saliency, pattern, options.deal);
  dealt = local_block_shuffle(saliency, pattern, std::move(dealt), options.block, accelerator);
  return retained_mass(saliency, pattern, dealt) > retained_mass(saliency, pattern, order) ? dealt : order;
}

// saliency.cols is a multiple of M.
ChannelOrder search(MatrixView<const float> saliency, NmPattern pattern, const ShuffleOptions& options,
                    PruneAccelerator* accelerator) {
  switch (options.method) {
    case ShuffleMethod::none:
      break;
    case ShuffleMethod::global:
      return global_naive_shuffle(saliency, pattern, options.deal);
    case ShuffleMethod::local:
      return local_block_shuffle(saliency, pattern, identity_order(saliency.cols), options.block, accelerator);
    case ShuffleMethod::global_local:
      return search_from_both(saliency, pattern, options, accelerator);
    case ShuffleMethod::lsa:
      return lsa_shuffle(saliency, pattern, heuristic_allocation(saliency, pattern), options.lsa_blocks);
  }
  return identity_order(saliency.cols);
}

}  // namespace

ChannelOrder identity_order(int64_t channels) {
  ChannelOrder order(channels);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

double retained_mass(MatrixView<const float> saliency, NmPattern pattern, std::span<const int32_t> order) {
  ESPARSE_CHECK(pattern.valid());
  ESPARSE_CHECK(static_cast<int64_t>(order.size()) <= saliency.cols);
  constexpr int64_t kChunkRows = 64;  // fixed, so that the sum is the same for any number of threads
  std::vector<double> partial(ceil_div(saliency.rows, kChunkRows));
  const int64_t operations = saliency.rows * static_cast<int64_t>(order.size()) * pattern.group;
  parallel_for_sized(static_cast<int64_t>(partial.size()), operations, [&](int64_t chunk, int) {
    const int64_t end = std::min(saliency.rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end; ++row)
      partial[chunk] += row_mass(saliency.row(row).data(), pattern, order);
  });
  return std::accumulate(partial.begin(), partial.end(), 0.0);
}

ShuffleResult find_channel_order(MatrixView<const float> saliency, NmPattern pattern, const ShuffleOptions& options,
                                 PruneAccelerator* accelerator) {
  const bool sampled = options.rows > 0 && options.rows < saliency.rows;
  const Matrix<float> sample = sampled ? evenly_spaced_rows(saliency, options.rows) : Matrix<float>();
  const MatrixView<const float> searched = sampled ? sample.view() : saliency;
  const int64_t whole = saliency.cols - saliency.cols % pattern.group;

  ShuffleResult result;
  result.order = search(searched.cols_from(0, whole), pattern, options, accelerator);
  for (int64_t channel = whole; channel < saliency.cols; ++channel)
    result.order.push_back(static_cast<int32_t>(channel));
  result.retained = retained_share(saliency, pattern, result.order);
  result.retained_on_searched_rows = sampled ? retained_share(searched, pattern, result.order) : result.retained;
  result.retained_identity = retained_share(saliency, pattern, identity_order(saliency.cols));
  if (result.retained < result.retained_identity) {
    result.order = identity_order(saliency.cols);
    result.retained = result.retained_identity;
  }
  return result;
}

}  // namespace esparse
