#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/parallel.h"
#include "prune/shuffle.h"
#include "prune/shuffle_block.h"

namespace esparse {
namespace {

double mean_saliency(MatrixView<const float> saliency) {
  double sum = 0.0;
  for (int64_t row = 0; row < saliency.rows; ++row)
    for (float score : saliency.row(row)) sum += score;
  return sum / static_cast<double>(std::max<int64_t>(saliency.rows * saliency.cols, 1));
}

}  // namespace

ChannelOrder local_block_shuffle(MatrixView<const float> saliency, NmPattern pattern, ChannelOrder order, int64_t block,
                                 PruneAccelerator* accelerator) {
  ESPARSE_CHECK(pattern.valid() && saliency.cols % pattern.group == 0);
  ESPARSE_CHECK(static_cast<int64_t>(order.size()) == saliency.cols);
  const double mean = mean_saliency(saliency);
  if (!(mean > 0.0) || !std::isfinite(mean)) return order;  // nothing to tell channels apart by
  // apex stops below 1e-4 with weights of about unit size; times the mean is the same as dividing all scores by it.
  const double min_gain = 1e-4 * mean;
  block = std::max<int64_t>(block / pattern.group, 1) * pattern.group;
  const int64_t blocks = ceil_div(saliency.cols, block);
  auto search_block = [&](int64_t index, int) {
    const int64_t first = index * block;
    const std::span channels(order.data() + first, std::min(block, saliency.cols - first));
    BlockSwapSearch search(saliency, pattern, channels, min_gain, accelerator);
    while (search.run_round()) {
    }
    std::ranges::copy(search.order(), channels.begin());
  };
  // Fewer blocks than threads, or a GPU: one after the other, each with all threads inside. The result is the same.
  if (accelerator != nullptr || blocks < thread_count()) {
    for (int64_t index = 0; index < blocks; ++index) search_block(index, 0);
  } else {
    parallel_for_sized(blocks, saliency.cols * block * saliency.rows, search_block);
  }
  return order;
}

}  // namespace esparse
