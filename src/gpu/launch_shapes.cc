#include "gpu/launch_shapes.h"

#include <algorithm>

#include "base/byte_size.h"

namespace esparse {
namespace {

// What a block costs beside the bytes it moves, as bytes: about a microsecond until its first weights are there and
// its sums are stored, at the 36 KB a microsecond that a multiprocessor of an H200 gets of the memory's bandwidth.
constexpr int64_t kBlockOverhead = 32 << 10;
constexpr int kMostSplits = 16;
constexpr int64_t kMostSplitBlocks = 4096;  // counters there are

int64_t weight_bytes(const cuda::FewArgs& args, int64_t rows) {
  const int64_t sparse = args.sparse_rows > 0 ? rows * args.sparse_columns * 9 / 8 : 0;
  const int64_t dense = args.dense_rows > 0 ? rows * args.dense_columns * 2 : 0;
  return args.stacked ? std::max(sparse, dense) : sparse + dense;
}

}  // namespace

std::string FewShape::text() const {
  return fmt::format("{} blocks of {} rows x {} tokens, {} x {} warps, columns in {}, {} each", blocks, config.rows(),
                     config.tokens(), config.row_warps, config.column_warps, splits, format_bytes(block_bytes));
}

FewShape few_shape(const cuda::FewArgs& args, int multiprocessors) {
  FewShape shape;
  shape.config = cuda::kFewConfigs[cuda::few_config_index(args.tokens)];
  shape.blocks = cuda::few_blocks(args);
  const int64_t sparse_columns = args.sparse_rows > 0 ? args.sparse_columns : 0;
  const int64_t dense_columns = args.dense_rows > 0 ? args.dense_columns : 0;
  const int64_t columns = args.stacked ? std::max(sparse_columns, dense_columns) : sparse_columns + dense_columns;
  const int64_t whole = weight_bytes(args, shape.config.rows()) + columns * 2 * args.tokens;
  const int64_t sums = int64_t{4} * shape.config.rows() * args.tokens;
  int64_t least = INT64_MAX;
  const int most = shape.blocks > kMostSplitBlocks ? 1 : std::min(cuda::few_stages(args), kMostSplits);
  for (int splits = 1; splits <= most; ++splits) {
    const int64_t bytes = whole / splits + (splits > 1 ? 2 * sums : 0);
    const int64_t rounds = (shape.blocks * splits + multiprocessors - 1) / multiprocessors;
    if (rounds * (bytes + kBlockOverhead) >= least) continue;
    least = rounds * (bytes + kBlockOverhead);
    shape.splits = splits, shape.block_bytes = bytes;
  }
  shape.partial_bytes = shape.splits > 1 ? shape.blocks * shape.splits * sums : 0;
  return shape;
}

int prefill_config(int64_t rows, int64_t tokens, int multiprocessors) {
  return cuda::prefill_blocks(cuda::kPrefillConfigs[0], rows, tokens) * 4 >= int64_t{3} * multiprocessors ? 0 : 1;
}

}  // namespace esparse
