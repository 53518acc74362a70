// The OBS kernel against the sweep written as plain loops in double.
#include "kernels/cuda/obs.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

struct Block {
  int rows, columns;
  std::vector<float> weight, u;  // [rows, columns], [columns, columns] upper
};

Block random_block(int rows, int columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Block block{rows, columns, std::vector<float>(rows * columns), std::vector<float>(columns * columns)};
  for (float& w : block.weight) w = normal(random);
  for (int c = 0; c < columns; ++c)
    for (int j = c; j < columns; ++j)
      block.u[c * columns + j] = j == c ? 1 + std::abs(normal(random)) : 0.1f * normal(random);
  return block;
}

struct Swept {
  std::vector<double> weight, errors, losses;
  std::vector<uint8_t> mask;
};

// kept and group 0: by `mask`.
Swept reference(const Block& block, int kept, int group, std::vector<uint8_t> mask) {
  const int columns = block.columns;
  Swept swept{
      {block.weight.begin(), block.weight.end()}, std::vector<double>(block.weight.size()), {}, std::move(mask)};
  for (int row = 0; row < block.rows; ++row) {
    double* w = swept.weight.data() + row * columns;
    uint8_t* keep = swept.mask.data() + row * columns;
    double loss = 0;
    for (int c = 0; c < columns; ++c) {
      if (group > 0 && c % group == 0) {
        const int count = std::min(group, columns - c);
        const auto score = [&](int k) { return std::abs(w[c + k] / block.u[(c + k) * columns + c + k]); };
        for (int k = 0; k < count; ++k) {
          int before = 0;
          for (int o = 0; o < count; ++o) before += score(o) > score(k) || (score(o) == score(k) && o < k);
          keep[c + k] = before < (kept * count + group - 1) / group;
        }
      }
      if (keep[c] != 0) continue;
      const double error = w[c] / block.u[c * columns + c];
      swept.errors[row * columns + c] = -error;
      loss += error * error;
      for (int j = c + 1; j < columns; ++j) w[j] -= error * block.u[c * columns + j];
      w[c] = 0;
    }
    swept.losses.push_back(loss);
  }
  return swept;
}

void check(const Block& block, int kept, int group, const std::vector<uint8_t>& mask) {
  const int rows = block.rows, columns = block.columns, stride = columns + 5;
  const Swept expected = reference(block, kept, group, mask);
  std::vector<float> weight(rows * stride, std::nanf("")), transposed(columns * stride, std::nanf(""));
  std::vector<uint8_t> masks(rows * stride, 0xff);
  for (int row = 0; row < rows; ++row)
    for (int c = 0; c < columns; ++c) {
      weight[row * stride + c] = block.weight[row * columns + c];
      if (group == 0) masks[row * stride + c] = mask[row * columns + c];
    }
  for (int c = 0; c < columns; ++c)
    for (int j = c; j < columns; ++j) transposed[j * stride + c] = block.u[c * columns + j];
  const TestArray<float> w(weight), u(transposed), errors(static_cast<size_t>(rows) * kObsColumns);
  const TestArray<uint8_t> keep(masks);
  const TestArray<double> losses(std::vector<double>(rows, 1.0));
  ASSERT_TRUE(launched(test_backend().obs->sweep_block({w.data(), u.data(), keep.data(), errors.data(), losses.data(),
                                                        stride, stride, stride, rows, columns, kept, group},
                                                       test_stream())));
  const auto got = w.values(), got_errors = errors.values();
  const auto got_mask = keep.values();
  const auto got_losses = losses.values();
  for (int row = 0; row < rows; ++row) {
    // A weight is a sum of `columns` products of about 0.1, each rounded in f32.
    EXPECT_NEAR(got_losses[row], 1 + expected.losses[row], 1e-5 * (1 + expected.losses[row]));
    for (int c = 0; c < kObsColumns; ++c) {
      const double error = c < columns ? expected.errors[row * columns + c] : 0.0;
      ASSERT_NEAR(got_errors[row * kObsColumns + c], error, 1e-5) << row << " " << c;
    }
    for (int c = 0; c < stride; ++c) {
      if (c >= columns) {
        EXPECT_TRUE(std::isnan(got[row * stride + c])) << "written behind the columns";
        EXPECT_EQ(got_mask[row * stride + c], 0xff);
        continue;
      }
      ASSERT_EQ(got_mask[row * stride + c], expected.mask[row * columns + c]) << row << " " << c;
      if (expected.mask[row * columns + c] == 0) {
        ASSERT_EQ(got[row * stride + c], 0.0f);
      } else {
        ASSERT_NEAR(got[row * stride + c], expected.weight[row * columns + c], 1e-5) << row << " " << c;
      }
    }
  }
}

TEST(CudaObs, ChoosesGroupsAsTheSweepReachesThem) {
  struct Pattern {
    int kept, group;
  };
  for (const Pattern pattern : {Pattern{2, 4}, {4, 8}, {1, 3}, {5, 7}, {16, 32}, {1, 2}, {9, 24}})
    for (const int columns : {1, 6, 31, 64, 100, 128})
      if (columns % pattern.group == 0 || columns < 120)
        check(random_block(19, columns, columns), pattern.kept, pattern.group,
              std::vector<uint8_t>(static_cast<size_t>(19 * columns)));
}

TEST(CudaObs, FollowsAMask) {
  std::mt19937 random(3);
  for (const int columns : {1, 33, 128}) {
    std::vector<uint8_t> mask(static_cast<size_t>(40 * columns));
    for (uint8_t& keep : mask) keep = random() % 3 != 0;
    check(random_block(40, columns, 9), 0, 0, mask);
  }
}

TEST(CudaObs, MoreRowsThanThreadBlocksTakeAtOnce) {
  check(random_block(16 * 256 + 17, 8, 5), 2, 4, std::vector<uint8_t>(static_cast<size_t>((16 * 256 + 17) * 8)));
}

TEST(CudaObs, EqualScoresKeepTheLowerColumn) {
  Block block{1, 8, {1, -1, 1, 1, 0, 0, 0, 0}, std::vector<float>(64)};
  for (int c = 0; c < 8; ++c) block.u[c * 9] = 1;
  check(block, 2, 4, std::vector<uint8_t>(8));
}

}  // namespace
}  // namespace esparse::cuda
