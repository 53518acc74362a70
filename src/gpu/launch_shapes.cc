#include "gpu/launch_shapes.h"

#include <algorithm>

#include "base/byte_size.h"

namespace esparse {
namespace {

// All in bytes, at the 40 KB a microsecond that reach a multiprocessor of an H200 from its L2 cache: about a
// microsecond passes until a block's first weights are there and its sums are stored, at the same time for the two
// blocks that a multiprocessor holds; splits wait for one another.
constexpr int64_t kBlockOverhead = 40 << 10, kSplitOverhead = 16 << 10;
constexpr int kBlocksAtOnce = 2;
// Device memory gives about four bytes in the time in which the L2 cache gives five.
constexpr int64_t kMemoryCost = 5, kCacheCost = 4;
constexpr int kMostSplits = 16;
constexpr int64_t kMostSplitBlocks = 4096;  // counters there are

int64_t weight_bytes(const cuda::FewArgs& args, int64_t rows) {
  const int64_t sparse = args.sparse_rows > 0 ? rows * args.sparse_columns * 9 / 8 : 0;
  const int64_t dense = args.dense_rows > 0 ? rows * args.dense_columns * 2 : 0;
  return args.stacked ? std::max(sparse, dense) : sparse + dense;
}

}  // namespace

std::string FewShape::text() const {
  const cuda::FewConfig& of = cuda::kFewConfigs[config];
  return fmt::format("{} blocks of {} rows x {} tokens, {} x {} warps, columns in {}, {} each", blocks, of.rows(),
                     of.tokens(), of.row_warps, of.column_warps, splits, format_bytes(block_bytes));
}

namespace {

// Bytes that the largest block moves: of weights, which come from device memory, and of x and partial sums, from L2.
struct BlockBytes {
  int64_t weights, others;
  int64_t cost() const { return std::max(weights * kMemoryCost / kCacheCost, weights + others); }
};

int64_t rounds(int64_t blocks, int64_t at_once) { return (blocks + at_once - 1) / at_once; }

BlockBytes block_bytes(const cuda::FewArgs& args, int splits) {
  const cuda::FewConfig config = cuda::kFewConfigs[args.config];
  const int64_t sparse_columns = args.sparse_rows > 0 ? args.sparse_columns : 0;
  const int64_t dense_columns = args.dense_rows > 0 ? args.dense_columns : 0;
  const int64_t columns = args.stacked ? std::max(sparse_columns, dense_columns) : sparse_columns + dense_columns;
  const int64_t sums = int64_t{4} * config.rows() * args.tokens;
  return {weight_bytes(args, config.rows()) / splits, columns * 2 * args.tokens / splits + (splits > 1 ? 2 * sums : 0)};
}

}  // namespace

FewShape few_shape(cuda::FewArgs args, int multiprocessors) {
  FewShape shape;
  int64_t least = INT64_MAX;
  const int first = cuda::few_config(args.tokens);
  for (args.config = first; args.config < first + 2; ++args.config) {
    const int64_t blocks = cuda::few_blocks(args);
    const int most = blocks > kMostSplitBlocks ? 1 : std::min(cuda::few_stages(args), kMostSplits);
    for (int splits = 1; splits <= most; ++splits) {
      const BlockBytes bytes = block_bytes(args, splits);
      const int64_t cost = rounds(blocks * splits, multiprocessors) * bytes.cost() +
                           rounds(blocks * splits, kBlocksAtOnce * multiprocessors) * kBlockOverhead +
                           (splits > 1 ? kSplitOverhead : 0);
      if (cost >= least) continue;
      least = cost;
      shape = {args.config, blocks, splits, bytes.weights + bytes.others, 0};
    }
  }
  if (shape.splits > 1)
    shape.partial_bytes = shape.blocks * shape.splits * 4 * cuda::kFewConfigs[shape.config].rows() * args.tokens;
  return shape;
}

int prefill_config(int64_t rows, int64_t tokens, int multiprocessors) {
  return cuda::prefill_blocks(cuda::kPrefillConfigs[0], rows, tokens) * 4 >= int64_t{3} * multiprocessors ? 0 : 1;
}

}  // namespace esparse
