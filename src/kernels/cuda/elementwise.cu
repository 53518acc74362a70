#include "kernels/cuda/elementwise.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

// One block a token.
template <typename T>
__global__ void rms_norm_kernel(RmsNormArgs args) {
  const float* x = args.x + static_cast<int64_t>(blockIdx.x) * args.width;
  T* y = static_cast<T*>(args.y) + static_cast<int64_t>(blockIdx.x) * args.width;
  float squares = 0;
  for (int k = static_cast<int>(threadIdx.x); k < args.width; k += static_cast<int>(blockDim.x)) squares += x[k] * x[k];
  const float scale = rsqrtf(block_sum(squares) / static_cast<float>(args.width) + args.eps);
  for (int k = static_cast<int>(threadIdx.x); k < args.width; k += static_cast<int>(blockDim.x)) {
    const int channel = args.order != nullptr ? args.order[k] : k;
    const float gain = args.gain != nullptr ? args.gain[channel] : 1.0f;
    from_float(gain * (x[channel] * scale), y[k]);
  }
}

LaunchCode rms_norm(const RmsNormArgs& args, Stream stream) {
  const dim3 grid(static_cast<unsigned>(args.tokens));
  const int threads = args.width >= 1024 ? 1024 : 128;
  return args.type == Element::bf16 ? launch(rms_norm_kernel<Bf16>, grid, dim3(threads), 0, stream, args)
                                    : launch(rms_norm_kernel<F16>, grid, dim3(threads), 0, stream, args);
}

}  // namespace

const ElementwiseKernels& elementwise_kernels() {
  static const ElementwiseKernels kernels = {rms_norm};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
