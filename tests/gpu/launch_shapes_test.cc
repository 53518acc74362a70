#include "gpu/launch_shapes.h"

#include <gtest/gtest.h>

namespace esparse {
namespace {

constexpr int kH200 = 132;  // multiprocessors

cuda::FewArgs two_of_four(int rows, int columns, int tokens) {
  cuda::FewArgs args{};
  args.sparse_rows = rows, args.sparse_columns = columns, args.tokens = tokens;
  return args;
}

TEST(FewShape, PrintsItself) {
  // A block has 16 rows of 4096 columns: 16 * 4096 * 9 / 8 bytes of W and 4096 * 2 of x.
  const FewShape shape = few_shape(two_of_four(4096, 4096, 1), kH200);
  EXPECT_EQ(shape.text(), "256 blocks of 16 rows x 8 tokens, 1 x 8 warps, columns in 1, 80.0 KiB each");
  EXPECT_EQ(shape.block_bytes, 16 * 4096 * 9 / 8 + 4096 * 2);
  EXPECT_EQ(shape.partial_bytes, 0);
}

TEST(FewShape, FewRowsAreSplitAlongTheColumns) {
  // 64 blocks leave half of the GPU idle; 4096 columns are two stages of eight panels.
  const FewShape shape = few_shape(two_of_four(1024, 4096, 1), kH200);
  EXPECT_EQ(shape.blocks, 64);
  EXPECT_EQ(shape.splits, 2);
  EXPECT_EQ(shape.partial_bytes, 64 * 2 * 16 * 1 * 4);
  // One stage cannot be split.
  EXPECT_EQ(few_shape(two_of_four(1024, 2048, 1), kH200).splits, 1);
}

TEST(FewShape, ReadingXNeverCostsMoreThanReadingW) {
  for (const int tokens : {1, 8, 16, 32, 64}) {
    const cuda::FewConfig config = cuda::kFewConfigs[cuda::few_config_index(tokens)];
    EXPECT_GE(config.tokens(), tokens);
    EXPECT_LE(2 * tokens, config.rows() * 9 / 8) << tokens;
  }
}

TEST(FewShape, EverySplitHasAStage) {
  for (const int rows : {1, 16, 100, 1024, 4096, 28672})
    for (const int columns : {1, 64, 300, 4096, 14336})
      for (const int tokens : {1, 9, 17, 33, 64}) {
        cuda::FewArgs args = two_of_four(rows, columns, tokens);
        EXPECT_LE(few_shape(args, kH200).splits, cuda::few_stages(args));
        args.dense_rows = 40, args.dense_columns = 200, args.stacked = true;
        EXPECT_LE(few_shape(args, kH200).splits, cuda::few_stages(args));
        EXPECT_EQ(few_shape(args, kH200).blocks, cuda::few_blocks(args));
      }
}

TEST(PrefillConfig, SmallProductsGetSmallBlocks) {
  EXPECT_EQ(prefill_config(4096, 4096, kH200), 0);  // 16 x 32 blocks
  EXPECT_EQ(prefill_config(4096, 1024, kH200), 0);  // 16 x 8
  EXPECT_EQ(prefill_config(1024, 1024, kH200), 1);  // 4 x 8
  EXPECT_EQ(prefill_config(4096, 65, kH200), 1);
}

}  // namespace
}  // namespace esparse
