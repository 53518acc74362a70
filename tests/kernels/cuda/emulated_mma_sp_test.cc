// The emulation of mma.sp against a result that hardware gave and against plain loops in double.
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/memory.h"
#include "kernels/cuda/mma.h"

namespace esparse::cuda::emulated {
namespace {

constexpr int kPairs[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};

// One warp's product: kept values and places of a [16][16], b [32][8]. Builds the fragments from the text in mma.h
// word by word.
struct WarpProduct {
  float kept[16][16];
  int places[16][16];
  float b[32][8];
  float d[16][8] = {};

  template <typename T>
  uint32_t pair(float low, float high) const {
    return pack_pair<T>(low, high);
  }
  // 16 bits: columns 16p .. 16p + 15 of a row.
  uint32_t row_metadata(int row, int p) const {
    uint32_t bits = 0;
    for (int i = 0; i < 8; ++i) bits |= static_cast<uint32_t>(places[row][8 * p + i]) << (2 * i);
    return bits;
  }

  template <typename T, int selector>
  void run() {
    run_grid(dim3(1), dim3(32), 0, [&] {
      const int lane = lane_index(), g = lane / 4, t = lane % 4;
      const uint32_t a[4] = {
          pair<T>(kept[g][2 * t], kept[g][2 * t + 1]), pair<T>(kept[g + 8][2 * t], kept[g + 8][2 * t + 1]),
          pair<T>(kept[g][2 * t + 8], kept[g][2 * t + 9]), pair<T>(kept[g + 8][2 * t + 8], kept[g + 8][2 * t + 9])};
      uint32_t of_b[4];
      for (int i = 0; i < 4; ++i) of_b[i] = pair<T>(b[2 * t + 8 * i][g], b[2 * t + 8 * i + 1][g]);
      // Lanes that are not asked hold nonsense.
      uint32_t metadata = 0xffffffffu;
      if (t / 2 == selector) metadata = row_metadata(g, t % 2) | row_metadata(g + 8, t % 2) << 16;
      float sums[4] = {d[g][2 * t], d[g][2 * t + 1], d[g + 8][2 * t], d[g + 8][2 * t + 1]};
      mma_sp_16x8x32<T, selector>(sums, a, of_b, metadata);
      d[g][2 * t] = sums[0], d[g][2 * t + 1] = sums[1], d[g + 8][2 * t] = sums[2], d[g + 8][2 * t + 1] = sums[3];
    });
  }
};

// LLVM's test of the instruction on hardware
// (mlir/test/Integration/Dialect/SparseTensor/GPU/CUDA/sparse-mma-2-4-f16.mlir): kept values i + j + 1 at the places 0
// and 2 (metadata 0x8888), b[k][n] = n - k. The rows 0, 7 and 15 of what it expects, first and last column; all others
// are linear in between.
TEST(MmaSp, EqualsWhatHardwareGave) {
  WarpProduct product;
  for (int row = 0; row < 16; ++row)
    for (int j = 0; j < 16; ++j)
      product.kept[row][j] = static_cast<float>(row + j + 1), product.places[row][j] = j % 2 * 2;
  for (int k = 0; k < 32; ++k)
    for (int n = 0; n < 8; ++n) product.b[k][n] = static_cast<float>(n - k);
  EXPECT_EQ(product.row_metadata(3, 1), 0x8888u);
  product.run<F16, 0>();
  const int first[16] = {-2720, -2960, -3200, -3440, -3680, -3920, -4160, -4400,
                         -4640, -4880, -5120, -5360, -5600, -5840, -6080, -6320};
  const int last[16] = {-1768, -1896, -2024, -2152, -2280, -2408, -2536, -2664,
                        -2792, -2920, -3048, -3176, -3304, -3432, -3560, -3688};
  for (int row = 0; row < 16; ++row) {
    EXPECT_EQ(product.d[row][0], first[row]) << row;
    EXPECT_EQ(product.d[row][7], last[row]) << row;
    EXPECT_EQ(product.d[row][3], first[row] + 3 * (last[row] - first[row]) / 7) << row;
  }
}

template <typename T, int selector>
void check_patterns() {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> value(-8, 8);  // exact in every type
  // Pattern p in every group of every row, then every pattern beside every other one: group i of row r has pattern
  // (r + i + shift) % 6 with shifts that give all 36 pairs of neighbours.
  for (int step = 0; step < 6 + 36; ++step) {
    WarpProduct product;
    for (int row = 0; row < 16; ++row)
      for (int group = 0; group < 8; ++group) {
        const int shift = step - 6;
        const int pattern = step < 6 ? step : group % 2 == 0 ? (shift + row) % 6 : (shift / 6 + group / 2) % 6;
        for (int j = 0; j < 2; ++j) {
          product.places[row][2 * group + j] = kPairs[pattern][j];
          product.kept[row][2 * group + j] = static_cast<float>(value(random));
        }
      }
    for (auto& row : product.b)
      for (float& x : row) x = static_cast<float>(value(random));
    for (auto& row : product.d)
      for (float& x : row) x = static_cast<float>(value(random));
    double expected[16][8];
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        expected[row][column] = product.d[row][column];
        for (int j = 0; j < 16; ++j)
          expected[row][column] += double{product.kept[row][j]} * product.b[j / 2 * 4 + product.places[row][j]][column];
      }
    product.run<T, selector>();
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column)
        ASSERT_EQ(product.d[row][column], expected[row][column]) << step << ": " << row << ", " << column;
  }
}

TEST(MmaSp, AllPatternsMatchDouble) {
  check_patterns<Bf16, 0>();
  check_patterns<Bf16, 1>();
  check_patterns<F16, 0>();
  check_patterns<F16, 1>();
}

// Metadata as CUTLASS orders it: for 32 rows x 32 columns the word of lane l is word l of its reordered matrix, and
// selector 0 is for the first 16 rows, selector 1 for the others.
TEST(MmaSp, MetadataStandsWhereCutlassPutsIt) {
  constexpr int kRows = 32, kWords = 2;
  uint16_t source[kRows][kWords], target[kRows * kWords];
  for (int row = 0; row < kRows; ++row)
    for (int word = 0; word < kWords; ++word) source[row][word] = static_cast<uint16_t>(100 * row + word);
  for (int row = 0; row < kRows; ++row)
    for (int word = 0; word < kWords; ++word) {
      int to_row = row % 8 * 4 + row / 8, to_word = word;
      if (to_row % 2 == 0 && to_word == 1)
        ++to_row, --to_word;
      else if (to_row % 2 == 1 && to_word == 0)
        --to_row, ++to_word;
      target[2 * to_row + to_word] = source[row][word];
    }
  for (int selector = 0; selector < 2; ++selector)
    for (int g = 0; g < 8; ++g)
      for (int p = 0; p < 2; ++p) {
        const int lane = 4 * g + 2 * selector + p;
        EXPECT_EQ(target[2 * lane], source[16 * selector + g][p]);
        EXPECT_EQ(target[2 * lane + 1], source[16 * selector + g + 8][p]);
      }
}

TEST(CudaMemory, MatricesAreHandedOutRowByRow) {
  std::vector<uint16_t> shared(32 * 8);
  for (size_t i = 0; i < shared.size(); ++i) shared[i] = static_cast<uint16_t>(i);
  run_grid(dim3(1), dim3(32), 0, [&] {
    const int lane = lane_index();
    uint32_t x[4];
    load_matrices(x, &shared[static_cast<size_t>(lane * 8)]);
    for (int i = 0; i < 4; ++i) {
      const int first = (8 * i + lane / 4) * 8 + lane % 4 * 2;
      EXPECT_EQ(x[i], static_cast<uint32_t>(first | (first + 1) << 16));
    }
  });
}

TEST(CudaMemory, CopiesArriveWhenWaitedForAndPadWithZeros) {
  alignas(16) uint8_t source[48], target[48];
  for (int i = 0; i < 48; ++i) source[i] = static_cast<uint8_t>(i + 1), target[i] = 0xff;
  run_grid(dim3(1), dim3(1), 0, [&] {
    copy_async_16(target, source, 16);
    end_copy_group();
    copy_async_16(target + 16, source + 16, 6);
    end_copy_group();
    EXPECT_EQ(target[0], 0xff);
    wait_for_copy_groups<1>();
    EXPECT_EQ(target[15], 16);
    EXPECT_EQ(target[16], 0xff);
    wait_for_copy_groups<0>();
    EXPECT_EQ(target[21], 22);
    EXPECT_EQ(target[22], 0);
    EXPECT_EQ(target[31], 0);
    EXPECT_EQ(target[32], 0xff);
  });
}

}  // namespace
}  // namespace esparse::cuda::emulated
