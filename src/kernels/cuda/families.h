// The families of one backend; each .cu file defines its own.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda {
struct ElementwiseKernels;
struct StatisticsKernels;
struct ObsKernels;
struct ShuffleKernels;
}  // namespace esparse::cuda

namespace esparse::cuda::ESPARSE_BACKEND {

const ElementwiseKernels& elementwise_kernels();
const StatisticsKernels& statistics_kernels();
const ObsKernels& obs_kernels();
const ShuffleKernels& shuffle_kernels();

}  // namespace esparse::cuda::ESPARSE_BACKEND
