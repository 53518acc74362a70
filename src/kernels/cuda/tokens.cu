#include "kernels/cuda/tokens.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

template <typename From, typename To>
__global__ void embed_kernel(EmbedArgs args) {
  const int64_t row = static_cast<int64_t>(args.ids[blockIdx.x]) + args.offset;
  const From* source = static_cast<const From*>(args.table) + row * args.stride;
  To* y = static_cast<To*>(args.y) + static_cast<int64_t>(blockIdx.x) * args.width;
  for (int k = static_cast<int>(threadIdx.x); k < args.width; k += static_cast<int>(blockDim.x))
    from_float(to_float(source[k]) + (args.add ? to_float(y[k]) : 0.0f), y[k]);
}

// The larger value wins; of equal ones the lower id.
__device__ __forceinline__ BestPart better(BestPart a, BestPart b) {
  const bool second = b.value > a.value || (b.value == a.value && b.id < a.id);
  BestPart result = second ? b : a;
  result.flags = a.flags | b.flags;
  return result;
}

// The best of the block in thread 0.
__device__ __forceinline__ BestPart block_best(BestPart mine) {
  __shared__ BestPart parts[kWarp];
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const BestPart other = {__shfl_xor_sync(0xffffffffu, mine.value, step), __shfl_xor_sync(0xffffffffu, mine.id, step),
                            __shfl_xor_sync(0xffffffffu, mine.flags, step)};
    mine = better(mine, other);
  }
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = static_cast<int>(blockDim.x) / kWarp;
  if (threadIdx.x % kWarp == 0) parts[warp] = mine;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int i = 1; i < warps; ++i) mine = better(mine, parts[i]);
  return mine;
}

// Logits of a block, unless there are more than kBestParts of them.
constexpr int kPartThreads = 256, kPartLogits = 4 * kPartThreads;
__host__ __device__ __forceinline__ int best_parts(int vocab) {
  const int parts = (vocab + kPartLogits - 1) / kPartLogits;
  return parts < kBestParts ? parts : kBestParts;
}

// Each block looks at every gridDim.x-th piece of the logits.
__global__ void best_parts_kernel(BestTokenArgs args) {
  BestPart mine = {-INFINITY, 0x7fffffff, 0};
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < args.vocab;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    const float value = args.logits[i];
    const bool finite = fabsf(value) < INFINITY;
    const int32_t flags = (finite ? 0 : kLogitsNotFinite) | (value != 0.0f ? kLogitsNotZero : 0);
    const BestPart one = {i < args.choices && finite ? value : -INFINITY, i < args.choices ? i : 0x7fffffff, flags};
    mine = better(mine, one);
  }
  mine = block_best(mine);
  if (threadIdx.x == 0) args.parts[blockIdx.x] = mine;
}

__global__ void best_token_kernel(BestTokenArgs args) {
  const bool is_part = static_cast<int>(threadIdx.x) < best_parts(args.vocab);
  const BestPart best = block_best(is_part ? args.parts[threadIdx.x] : BestPart{-INFINITY, 0x7fffffff, 0});
  if (threadIdx.x != 0) return;
  args.state->token = best.id;
  args.state->flags = best.flags;
  if (args.advance) args.state->position += 1;
}

template <typename From>
LaunchCode embed_from(const EmbedArgs& args, Stream stream) {
  const dim3 grid(static_cast<unsigned>(args.tokens)), block(256);
  if (args.type == Element::f32) return launch(embed_kernel<From, float>, grid, block, 0, stream, args);
  return args.type == Element::bf16 ? launch(embed_kernel<From, Bf16>, grid, block, 0, stream, args)
                                    : launch(embed_kernel<From, F16>, grid, block, 0, stream, args);
}

LaunchCode embed(const EmbedArgs& args, Stream stream) {
  if (args.table_type == Element::f32) return embed_from<float>(args, stream);
  return args.table_type == Element::bf16 ? embed_from<Bf16>(args, stream) : embed_from<F16>(args, stream);
}

LaunchCode best_token(const BestTokenArgs& args, Stream stream) {
  const dim3 grid(static_cast<unsigned>(best_parts(args.vocab)));
  const LaunchCode code = launch(best_parts_kernel, grid, dim3(kPartThreads), 0, stream, args);
  return code != 0 ? code : launch(best_token_kernel, dim3(1), dim3(kBestParts), 0, stream, args);
}

}  // namespace

const TokenKernels& token_kernels() {
  static const TokenKernels kernels = {embed, best_token};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
