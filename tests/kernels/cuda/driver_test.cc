#include "kernels/cuda/driver.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse::cuda {
namespace {

TEST(Driver, IsRefusedByNameWhereItIsMissingOrTooOld) {
  EXPECT_FAILURE(check_driver(0, 13000), StatusKind::unsupported, "no NVIDIA driver; use --device cpu");
  EXPECT_FAILURE(check_driver(12040, 13010), StatusKind::unsupported,
                 "expected a driver for CUDA 13.0 or newer, got one for CUDA 12.4");
  for (const int driver : {13000, 13020, 14000}) EXPECT_OK(check_driver(driver, 13010));
}

TEST(Driver, GpusAreCountedFromZero) {
  EXPECT_FAILURE(check_gpu_count(0, "no CUDA-capable device is detected", 0), StatusKind::unsupported,
                 "finds no GPU (no CUDA-capable device is detected); use --device cpu");
  EXPECT_FAILURE(check_gpu_count(0, "", 0), StatusKind::unsupported, "finds no GPU; use");
  EXPECT_FAILURE(check_gpu_count(1, "", 1), StatusKind::invalid_argument, "cuda:1: this machine has 1 GPU, counted");
  EXPECT_FAILURE(check_gpu_count(2, "", -1), StatusKind::invalid_argument, "has 2 GPUs");
  EXPECT_OK(check_gpu_count(2, "", 1));
}

}  // namespace
}  // namespace esparse::cuda
