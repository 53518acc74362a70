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

// One block a token. A thread reads and, without an order, writes the same channels, so that y may be x.
template <typename T>
__global__ void layer_norm_kernel(LayerNormArgs args) {
  const float* x = args.x + static_cast<int64_t>(blockIdx.x) * args.width;
  T* y = static_cast<T*>(args.y) + static_cast<int64_t>(blockIdx.x) * args.width;
  const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  const float count = static_cast<float>(args.width);
  float sum = 0, squares = 0;
  for (int k = first; k < args.width; k += step) sum += x[k];
  const float mean = block_sum(sum) / count;
  for (int k = first; k < args.width; k += step) squares += (x[k] - mean) * (x[k] - mean);
  const float scale = rsqrtf(block_sum(squares) / count + args.eps);
  for (int k = first; k < args.width; k += step) {
    const int channel = args.order != nullptr ? args.order[k] : k;
    const float gain = args.gain != nullptr ? args.gain[channel] : 1.0f;
    const float bias = args.bias != nullptr ? args.bias[channel] : 0.0f;
    from_float((x[channel] - mean) * scale * gain + bias, y[k]);
  }
}

template <typename T>
__global__ void gather_kernel(GatherArgs args) {
  const float* x = args.x + static_cast<int64_t>(blockIdx.x) * args.width;
  T* y = static_cast<T*>(args.y) + static_cast<int64_t>(blockIdx.x) * args.width;
  for (int k = static_cast<int>(threadIdx.x); k < args.width; k += static_cast<int>(blockDim.x))
    from_float(x[args.order != nullptr ? args.order[k] : k], y[k]);
}

__device__ __forceinline__ float gated_silu(float gate, float up) { return gate / (1.0f + __expf(-gate)) * up; }
__device__ __forceinline__ float activated(ActivationKind kind, float x) {
  return kind == ActivationKind::relu ? fmaxf(x, 0.0f) : 0.5f * x * (1.0f + erff(x * 0.70710678f));
}

// Eight neighbours a thread where rows allow 16-byte accesses, else one; blocks along the row, then tokens.
template <typename T, int kWidth>
__global__ void activation_kernel(ActivationArgs args) {
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kWidth;
  if (first >= args.width) return;
  struct alignas(sizeof(T) * kWidth) Run {
    T values[kWidth];
  };
  const bool gated = args.kind == ActivationKind::gated_silu;
  for (int64_t t = blockIdx.y; t < args.tokens; t += gridDim.y) {
    const T* x = static_cast<const T*>(args.x) + t * args.width * (gated ? 2 : 1) + first;
    const Run a = *reinterpret_cast<const Run*>(x);
    const Run b = gated ? *reinterpret_cast<const Run*>(x + args.width) : a;
    Run y;
    for (int i = 0; i < kWidth; ++i) {
      const float value = to_float(a.values[i]);
      from_float(gated ? gated_silu(value, to_float(b.values[i])) : activated(args.kind, value), y.values[i]);
    }
    *reinterpret_cast<Run*>(static_cast<T*>(args.y) + t * args.width + first) = y;
  }
}

int threads_for(int width) { return width >= 1024 ? 1024 : 128; }
dim3 one_block_each(int tokens) { return dim3(static_cast<unsigned>(tokens)); }

LaunchCode rms_norm(const RmsNormArgs& args, Stream stream) {
  const dim3 grid = one_block_each(args.tokens), block(static_cast<unsigned>(threads_for(args.width)));
  return args.type == Element::bf16 ? launch(rms_norm_kernel<Bf16>, grid, block, 0, stream, args)
                                    : launch(rms_norm_kernel<F16>, grid, block, 0, stream, args);
}

LaunchCode layer_norm(const LayerNormArgs& args, Stream stream) {
  const dim3 grid = one_block_each(args.tokens), block(static_cast<unsigned>(threads_for(args.width)));
  if (args.type == Element::f32) return launch(layer_norm_kernel<float>, grid, block, 0, stream, args);
  return args.type == Element::bf16 ? launch(layer_norm_kernel<Bf16>, grid, block, 0, stream, args)
                                    : launch(layer_norm_kernel<F16>, grid, block, 0, stream, args);
}

LaunchCode gather(const GatherArgs& args, Stream stream) {
  const dim3 grid = one_block_each(args.tokens), block(static_cast<unsigned>(threads_for(args.width)));
  return args.type == Element::bf16 ? launch(gather_kernel<Bf16>, grid, block, 0, stream, args)
                                    : launch(gather_kernel<F16>, grid, block, 0, stream, args);
}

template <typename T>
LaunchCode activation_of(const ActivationArgs& args, Stream stream) {
  constexpr unsigned kThreads = 128, kMostRows = 65535;
  const bool wide = args.width % 8 == 0;
  const unsigned run = kThreads * (wide ? 8 : 1);
  const dim3 grid((static_cast<unsigned>(args.width) + run - 1) / run,
                  min(static_cast<unsigned>(args.tokens), kMostRows));
  return wide ? launch(activation_kernel<T, 8>, grid, dim3(kThreads), 0, stream, args)
              : launch(activation_kernel<T, 1>, grid, dim3(kThreads), 0, stream, args);
}

LaunchCode activation(const ActivationArgs& args, Stream stream) {
  return args.type == Element::bf16 ? activation_of<Bf16>(args, stream) : activation_of<F16>(args, stream);
}

}  // namespace

const ElementwiseKernels& elementwise_kernels() {
  static const ElementwiseKernels kernels = {rms_norm, layer_norm, gather, activation};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
