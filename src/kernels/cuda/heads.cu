#include "kernels/cuda/heads.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kHeadsPerBlock = 4;

template <typename T>
__device__ __forceinline__ T* target_of(const HeadsArgs& args, int token, int head) {
  if (head < args.heads)
    return static_cast<T*>(args.q) + (static_cast<int64_t>(token) * args.heads + head) * args.head_dim;
  const bool is_key = head < args.heads + args.kv_heads;
  const int kv_head = head - args.heads - (is_key ? 0 : args.kv_heads);
  return static_cast<T*>(is_key ? args.keys : args.values) +
         (kv_head * args.capacity + args.positions[token]) * args.head_dim;
}

// A warp a head of a token.
template <typename T>
__global__ void prepare_kernel(HeadsArgs args) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int all = args.heads + 2 * args.kv_heads, half = args.head_dim / 2;
  const int head = static_cast<int>(blockIdx.y) * kHeadsPerBlock + static_cast<int>(threadIdx.x) / kWarp;
  const int token = static_cast<int>(blockIdx.x);
  if (head >= all) return;  // a whole warp
  const float* x = args.qkv + (static_cast<int64_t>(token) * all + head) * args.head_dim;
  T* y = target_of<T>(args, token, head);
  const bool is_value = head >= args.heads + args.kv_heads;
  const float* gain = is_value ? nullptr : head < args.heads ? args.q_gain : args.k_gain;
  float scale = 1;
  if (gain != nullptr) {
    float squares = 0;
    for (int k = lane; k < args.head_dim; k += kWarp) squares += x[k] * x[k];
    scale = rsqrtf(warp_sum(squares) / static_cast<float>(args.head_dim) + args.eps);
  }
  const auto normed = [&](int k) { return gain != nullptr ? x[k] * scale * gain[k] : x[k]; };
  if (is_value || args.cosine == nullptr) {
    for (int k = lane; k < args.head_dim; k += kWarp) from_float(normed(k), y[k]);
    return;
  }
  const int64_t angle = static_cast<int64_t>(args.positions[token]) * half;
  for (int k = lane; k < half; k += kWarp) {
    const float low = normed(k), high = normed(k + half);
    const float cosine = args.cosine[angle + k], sine = args.sine[angle + k];
    from_float(low * cosine - high * sine, y[k]);
    from_float(high * cosine + low * sine, y[k + half]);
  }
}

LaunchCode prepare(const HeadsArgs& args, Stream stream) {
  const auto rows = static_cast<unsigned>((args.heads + 2 * args.kv_heads + kHeadsPerBlock - 1) / kHeadsPerBlock);
  const dim3 grid(static_cast<unsigned>(args.tokens), rows), block(kHeadsPerBlock * kWarp);
  if (args.type == Element::f32) return launch(prepare_kernel<float>, grid, block, 0, stream, args);
  return args.type == Element::bf16 ? launch(prepare_kernel<Bf16>, grid, block, 0, stream, args)
                                    : launch(prepare_kernel<F16>, grid, block, 0, stream, args);
}

}  // namespace

const HeadKernels& head_kernels() {
  static const HeadKernels kernels = {prepare};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
