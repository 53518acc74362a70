// The ways of attention; attention.cu puts them together.
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/device.h"

namespace esparse::cuda::ESPARSE_BACKEND {

LaunchCode attention_decode(const AttentionArgs& args, Stream stream);
LaunchCode attention_prefill(const AttentionArgs& args, Stream stream);
LaunchCode attention_general(const AttentionArgs& args, Stream stream);

}  // namespace esparse::cuda::ESPARSE_BACKEND
