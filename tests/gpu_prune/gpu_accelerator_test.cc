// The OBS sweep and the channel shuffle on the GPU beside those of the CPU, which tests/prune checks against doubles.
#include "gpu_prune/gpu_accelerator.h"

#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "gpu_prune/gpu_testing.h"
#include "kernels/cuda/shuffle.h"
#include "linalg/inverse_factor.h"
#include "linalg/reference.h"
#include "prune/obs.h"
#include "prune/shuffle.h"
#include "prune/shuffle_block.h"
#include "prune/shuffle_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

struct Layer {
  Matrix<float> weight, u;
};

Layer make_layer(int64_t out_features, int64_t in_features, uint64_t seed) {
  Layer layer;
  layer.weight = random_matrix<float>(out_features, in_features, seed);
  auto u = inverse_cholesky_upper(gram_of(correlated_inputs(in_features + 30, in_features, seed + 1)), 0.01);
  EXPECT_OK(u);
  layer.u = std::move(u).value();
  return layer;
}

void expect_same_sweep(const Matrix<float>& gpu, const Matrix<float>& cpu, const Matrix<uint8_t>& gpu_mask,
                       const Matrix<uint8_t>& cpu_mask) {
  float largest_weight = 0;
  for (const float value : cpu.values()) largest_weight = std::max(largest_weight, std::abs(value));
  // As tests/prune/obs_test.cc has it for f32, twice: both sides round.
  const float tolerance =
      8 * static_cast<float>(cpu.cols() + 8) * std::numeric_limits<float>::epsilon() * largest_weight;
  ASSERT_TRUE(std::ranges::equal(gpu_mask.values(), cpu_mask.values()));
  for (size_t i = 0; i < cpu.values().size(); ++i) {
    ASSERT_NEAR(gpu.values()[i], cpu.values()[i], tolerance) << i;
    if (cpu_mask.values()[i] == 0) {
      ASSERT_EQ(gpu.values()[i], 0.0f) << i;
    }
  }
}

TEST(GpuObsSweep, ChoosesAndUpdatesAsTheCpu) {
  const auto device = open_test_device();
  const auto accelerator = make_gpu_accelerator(*device);
  for (const auto& [pattern, columns] : {std::pair{NmPattern{2, 4}, 8},
                                         {NmPattern{2, 4}, 128},
                                         {NmPattern{2, 4}, 300},
                                         {NmPattern{4, 8}, 136},
                                         {NmPattern{3, 7}, 150},
                                         {NmPattern{15, 32}, 70},
                                         {NmPattern{2, 4}, 131}})
    for (const int64_t swept : {int64_t{columns}, int64_t{columns} * 3 / 4}) {  // and dense columns behind: Spense
      const Layer layer = make_layer(33, columns, columns);
      Matrix<float> gpu = layer.weight, cpu = layer.weight;
      Matrix<uint8_t> gpu_mask(33, columns), cpu_mask(33, columns);
      const double loss = obs_sweep(cpu.view(), layer.u.view(), pattern, cpu_mask.view(), swept);
      const auto swept_loss = accelerator->obs_sweep(gpu.view(), layer.u.view(), pattern, gpu_mask.view(), swept);
      ASSERT_OK(swept_loss);
      EXPECT_NEAR(*swept_loss, loss, 1e-4 * loss);
      expect_same_sweep(gpu, cpu, gpu_mask, cpu_mask);
    }
}

TEST(GpuObsSweep, FollowsAMaskInAMatrixWithRoomBetweenRows) {
  const auto device = open_test_device();
  const Layer layer = make_layer(20, 200, 3);
  Matrix<uint8_t> mask(20, 210);
  std::mt19937 random(4);
  for (uint8_t& keep : mask.values()) keep = random() % 2;
  Matrix<float> cpu = layer.weight, wide(20, 205);
  for (int64_t row = 0; row < 20; ++row) std::ranges::copy(layer.weight.row(row), wide.row(row).begin());
  const auto masked = mask.view().cols_from(0, 200);
  const double loss = obs_sweep_masked(cpu.view(), layer.u.view(), masked);
  const auto swept = make_gpu_accelerator(*device)->obs_sweep(wide.view().cols_from(0, 200), layer.u.view(),
                                                              std::nullopt, masked, 200);
  ASSERT_OK(swept);
  EXPECT_NEAR(*swept, loss, 1e-4 * loss);
  Matrix<float> gpu(20, 200);
  Matrix<uint8_t> same(20, 200);
  for (int64_t row = 0; row < 20; ++row) {
    std::copy_n(wide.row(row).begin(), 200, gpu.row(row).begin());
    std::copy_n(mask.row(row).begin(), 200, same.row(row).begin());
  }
  expect_same_sweep(gpu, cpu, same, same);
}

TEST(GpuObsSweep, NothingToSweepIsNoError) {
  const auto device = open_test_device();
  const Layer layer = make_layer(2, 8, 3);
  Matrix<float> weight = layer.weight;
  Matrix<uint8_t> mask(2, 8);
  ASSERT_OK(make_gpu_accelerator(*device)->obs_sweep(weight.view(), layer.u.view(), NmPattern{2, 4}, mask.view(), 0));
  EXPECT_TRUE(std::ranges::equal(weight.values(), layer.weight.values()));
}

// A search is a chain of decisions: the sums must be those of the CPU bit for bit, for every pattern and row count.
TEST(GpuShuffle, GainsAndOrdersAreThoseOfTheCpu) {
  const auto device = open_test_device();
  const auto accelerator = make_gpu_accelerator(*device);
  for (const NmPattern pattern : {NmPattern{2, 4}, {1, 2}, {4, 8}, {5, 7}, {16, 32}})
    for (const int64_t rows : {1, 31, 257, 530}) {
      const int64_t channels = 3 * pattern.group + 32 / pattern.group * pattern.group;
      const Matrix<float> saliency = correlated_saliency(rows, channels, 0.8f, static_cast<int>(rows));
      const ChannelOrder start = identity_order(channels);
      BlockSwapSearch gpu(saliency.view(), pattern, start, 1e-4, accelerator.get());
      BlockSwapSearch cpu(saliency.view(), pattern, start, 1e-4);
      bool more = true;
      for (int round = 0; more; ++round) {
        for (int64_t a = 0; a < channels; ++a)
          for (int64_t b = 0; b < channels; ++b) ASSERT_EQ(gpu.gain(a, b), cpu.gain(a, b)) << pattern.text() << rows;
        more = cpu.run_round();
        ASSERT_EQ(gpu.run_round(), more);
        ASSERT_EQ(gpu.order(), cpu.order()) << round;
      }
      ASSERT_OK(accelerator->shuffle_failure());
    }
}

TEST(GpuShuffle, WholeSearchesGiveTheOrderOfTheCpu) {
  const auto device = open_test_device();
  const auto accelerator = make_gpu_accelerator(*device);
  const Matrix<float> saliency = correlated_saliency(70, 90, 0.8f, 3);  // 4 does not divide 90
  ShuffleOptions options = *ShuffleOptions::parse("global+local");
  options.block = 32;
  const ShuffleResult cpu = find_channel_order(saliency.view(), {2, 4}, options);
  const ShuffleResult gpu = find_channel_order(saliency.view(), {2, 4}, options, accelerator.get());
  EXPECT_EQ(gpu.order, cpu.order);
  EXPECT_EQ(gpu.retained, cpu.retained);
  EXPECT_GT(cpu.retained, cpu.retained_identity);
}

TEST(GpuShuffle, AFailureEndsTheSearchAndIsTold) {
  const cuda::ShuffleKernels broken = {cuda::test_backend().shuffle->group_thresholds,
                                       [](const cuda::SumsOfMaxArgs&, cuda::Stream) { return cuda::LaunchCode{700}; }};
  cuda::Backend backend = cuda::test_backend();
  backend.shuffle = &broken;
  const auto device = open_test_device(backend);
  const auto accelerator = make_gpu_accelerator(*device);
  const Matrix<float> saliency = correlated_saliency(20, 32, 0.8f, 3);
  const ChannelOrder order = local_block_shuffle(saliency.view(), {2, 4}, identity_order(32), 32, accelerator.get());
  EXPECT_EQ(order, identity_order(32));
  EXPECT_NE(accelerator->shuffle_failure().message().find("shuffle sums [32, 32, 32]"), std::string::npos)
      << accelerator->shuffle_failure().message();
}

}  // namespace
}  // namespace esparse
