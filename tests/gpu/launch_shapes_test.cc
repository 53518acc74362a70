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
  // 64 blocks of 16 rows would leave half of the GPU idle.
  const FewShape shape = few_shape(two_of_four(1024, 4096, 1), kH200);
  EXPECT_GT(shape.blocks * shape.splits, 100);
  EXPECT_LE(shape.blocks * shape.splits, kH200);
  EXPECT_EQ(shape.partial_bytes, shape.splits * 1024 * 4);
  // One panel cannot be split.
  EXPECT_EQ(few_shape(two_of_four(1024, 256, 1), kH200).splits, 1);
}

TEST(FewShape, MoreTokensGetMoreRowsSoThatXIsReadLessOften) {
  EXPECT_EQ(cuda::kFewConfigs[few_shape(two_of_four(4096, 4096, 1), kH200).config].rows(), 16);
  EXPECT_EQ(cuda::kFewConfigs[few_shape(two_of_four(4096, 4096, 8), kH200).config].rows(), 64);
  EXPECT_EQ(cuda::kFewConfigs[few_shape(two_of_four(4096, 4096, 16), kH200).config].rows(), 128);
  EXPECT_EQ(cuda::kFewConfigs[few_shape(two_of_four(28672, 4096, 64), kH200).config].rows(), 256);
}

TEST(FewShape, EverySplitHasAStageAndTheTokensHaveRoom) {
  for (const int rows : {1, 16, 100, 1024, 4096, 28672})
    for (const int columns : {1, 64, 300, 4096, 14336})
      for (const int tokens : {1, 8, 9, 16, 17, 32, 33, 64}) {
        cuda::FewArgs args = two_of_four(rows, columns, tokens);
        for (const bool with_dense : {false, true}) {
          if (with_dense) args.dense_rows = 40, args.dense_columns = 200, args.stacked = true;
          const FewShape shape = few_shape(args, kH200);
          args.config = shape.config;
          EXPECT_LE(shape.splits, cuda::few_stages(args));
          EXPECT_EQ(shape.blocks, cuda::few_blocks(args));
          EXPECT_GE(cuda::kFewConfigs[shape.config].tokens(), tokens);
        }
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
