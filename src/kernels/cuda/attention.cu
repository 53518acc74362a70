// Attention for heads of any size and type, and the table of all ways.
#include "kernels/cuda/attention.h"

#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kThreads = 128;  // and keys of a piece

__device__ __forceinline__ float block_max(float x) {
  __shared__ float parts[kThreads / kWarp];
  x = warp_max(x);
  __syncthreads();  // the parts before have been read
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = x;
  __syncthreads();
  for (const float part : parts) x = fmaxf(x, part);
  return x;
}

// A block a row and head: a thread a key for the scores, then a thread a dimension for the values.
template <typename T, typename Out>
__global__ void general_kernel(AttentionArgs args) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y), d = args.head_dim;
  const int me = static_cast<int>(threadIdx.x), kv_head = head / (args.heads / args.kv_heads);
  const int64_t place = (static_cast<int64_t>(row) * args.heads + head) * d;
  const T* keys = static_cast<const T*>(args.keys) + kv_head * args.capacity * d;
  const T* values = static_cast<const T*>(args.values) + kv_head * args.capacity * d;
  float* q = dynamic_shared<float>();  // [head_dim]
  float* sum = q + d;                  // [head_dim]
  float* p = sum + d;                  // [kThreads]
  for (int k = me; k < d; k += kThreads) q[k] = to_float(static_cast<const T*>(args.q)[place + k]), sum[k] = 0;
  __syncthreads();

  const int end = args.positions[0] + row + 1, begin = args.window > 0 ? max(0, end - args.window) : 0;
  float largest = -INFINITY, total = 0;
  for (int first = begin; first < end; first += kThreads) {
    const int count = min(kThreads, end - first);
    float score = -INFINITY;
    if (me < count) {
      const T* key = keys + static_cast<int64_t>(first + me) * d;
      score = 0;
      for (int k = 0; k < d; ++k) score += q[k] * to_float(key[k]);
      score *= args.scale;
    }
    const float best = fmaxf(largest, block_max(score));
    const float shrink = largest == -INFINITY ? 0.0f : __expf(largest - best);
    largest = best;
    const float mine = me < count ? __expf(score - best) : 0.0f;
    p[me] = mine;
    total = total * shrink + block_sum(mine);  // its barriers let all see p
    for (int k = me; k < d; k += kThreads) {
      float part = 0;
      for (int key = 0; key < count; ++key)
        part += p[key] * to_float(values[static_cast<int64_t>(first + key) * d + k]);
      sum[k] = sum[k] * shrink + part;
    }
    __syncthreads();  // p has been read
  }
  for (int k = me; k < d; k += kThreads) from_float(sum[k] / total, static_cast<Out*>(args.out)[place + k]);
}

template <typename T>
LaunchCode general_of(const AttentionArgs& args, Stream stream) {
  const dim3 grid(static_cast<unsigned>(args.rows), static_cast<unsigned>(args.heads));
  const int64_t shared_bytes = (2 * int64_t{args.head_dim} + kThreads) * 4;
  return args.out_type == Element::bf16
             ? launch(general_kernel<T, Bf16>, grid, dim3(kThreads), shared_bytes, stream, args)
             : launch(general_kernel<T, F16>, grid, dim3(kThreads), shared_bytes, stream, args);
}

}  // namespace

LaunchCode attention_general(const AttentionArgs& args, Stream stream) {
  if (args.type == Element::f32) return general_of<float>(args, stream);
  return args.type == Element::bf16 ? general_of<Bf16>(args, stream) : general_of<F16>(args, stream);
}

const AttentionKernels& attention_kernels() {
  static const AttentionKernels kernels = {attention_decode, attention_prefill, attention_general};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
