// Attention of one token. A block takes one KV head, sixteen of the query heads that read it, and one split of the
// keys; its warps take sixteen keys in turn. A second kernel adds the splits, always in their order.
#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/attention_tiles.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kRows = 16;  // query heads of a block
constexpr int kWarps = 4;
constexpr int kStepKeys = 16;
constexpr int kCombineThreads = 128;

struct KeyRange {
  int first, end;
};

// What is seen of one split.
__device__ __forceinline__ KeyRange range_of(const AttentionArgs& args, int split) {
  const int end = args.positions[0] + 1, first = args.window > 0 ? max(0, end - args.window) : 0;
  return {max(first, split * args.split_keys), min(end, (split + 1) * args.split_keys)};
}

// What a block leaves of each of its heads: sums [head_dim], the largest score, the total.
__device__ __forceinline__ float* partial_of(const AttentionArgs& args, int split, int head) {
  return args.partial + (static_cast<int64_t>(split) * args.heads + head) * (args.head_dim + 2);
}

template <typename T, int kHeadDim>
__device__ __forceinline__ void read_keys(const AttentionArgs& args, const KeyRange& range, int kv_head, int warp,
                                          int g, int t, AttentionWarp<T, kHeadDim>& state) {
  const T* keys = static_cast<const T*>(args.keys) + kv_head * args.capacity * kHeadDim;
  const T* values = static_cast<const T*>(args.values) + kv_head * args.capacity * kHeadDim;
  const float scale = args.scale * kLog2E;
  for (int first = range.first + warp * kStepKeys; first < range.end; first += kWarps * kStepKeys) {
    // Rows behind the end are those of the last key, which has been written; their scores are not seen.
    const auto row = [&](const T* rows, int key) {
      return rows + static_cast<int64_t>(min(first + key, range.end - 1)) * kHeadDim;
    };
    float scores[2][4];
    state.score(row(keys, g), t, scores[0]);
    state.score(row(keys, g + 8), t, scores[1]);
    float largest[2] = {-INFINITY, -INFINITY};
    ESPARSE_UNROLL
    for (int half = 0; half < 2; ++half) ESPARSE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const bool seen = first + 8 * half + 2 * t + i % 2 < range.end;
      scores[half][i] = seen ? scores[half][i] * scale : -INFINITY;
      largest[i / 2] = fmaxf(largest[i / 2], scores[half][i]);
    }
    state.raise(largest[0], largest[1]);
    uint32_t p[4];
    state.weigh(scores[0], scores[1], p);
    state.add(p, {row(values, 2 * t), row(values, 2 * t + 1), row(values, 2 * t + 8), row(values, 2 * t + 9)}, g);
  }
  state.finish();
}

// What a warp knows, for the others: [kRows][head_dim + 2].
template <typename T, int kHeadDim>
__device__ __forceinline__ void leave(const AttentionWarp<T, kHeadDim>& state, int g, int t, float* target) {
  float *row = target + g * (kHeadDim + 2), *row_8 = row + 8 * (kHeadDim + 2);
  state.for_each_sum(t, [&](int dimension, float sum, float sum_8) {
    row[dimension] = sum;
    row_8[dimension] = sum_8;
  });
  if (t != 0) return;
  row[kHeadDim] = state.largest[0], row[kHeadDim + 1] = state.total[0];
  row_8[kHeadDim] = state.largest[1], row_8[kHeadDim + 1] = state.total[1];
}

template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kWarps* kWarp) decode_kernel(AttentionArgs args) {
  constexpr int kRowFloats = kHeadDim + 2;
  const int split = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y);
  const KeyRange range = range_of(args, split);
  if (range.first >= range.end) return;  // the kernel that adds the splits knows it too
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int g = lane / 4, t = lane % 4;
  const int group = args.heads / args.kv_heads, first_row = static_cast<int>(blockIdx.z) * kRows;
  const int rows = min(kRows, group - first_row), first_head = kv_head * group + first_row;
  const T* q = static_cast<const T*>(args.q) + static_cast<int64_t>(first_head) * kHeadDim;

  AttentionWarp<T, kHeadDim> state;
  state.start(q + min(g, rows - 1) * kHeadDim, q + min(g + 8, rows - 1) * kHeadDim, t);
  read_keys(args, range, kv_head, warp, g, t, state);
  float* shared = dynamic_shared<float>();  // [kWarps][kRows][kRowFloats]
  leave(state, g, t, shared + warp * kRows * kRowFloats);
  __syncthreads();

  for (int i = static_cast<int>(threadIdx.x); i < rows * kHeadDim; i += kWarps * kWarp) {
    const int row = i / kHeadDim, dimension = i % kHeadDim;
    const float* of_warp = shared + row * kRowFloats;
    float largest = -INFINITY, sum = 0, total = 0;
    for (int w = 0; w < kWarps; ++w) largest = fmaxf(largest, of_warp[w * kRows * kRowFloats + kHeadDim]);
    for (int w = 0; w < kWarps; ++w) {
      const float* part = of_warp + w * kRows * kRowFloats;
      const float weight = exp2f(part[kHeadDim] - largest);  // 0 for a warp that had no keys
      sum += weight * part[dimension];
      total += weight * part[kHeadDim + 1];
    }
    float* target = partial_of(args, split, first_head + row);
    target[dimension] = sum;
    if (dimension == 0) target[kHeadDim] = largest, target[kHeadDim + 1] = total;
  }
}

// One block a head.
template <typename Out>
__global__ void combine_kernel(AttentionArgs args) {
  const int head = static_cast<int>(blockIdx.x);
  const int end = args.positions[0] + 1, seen_from = args.window > 0 ? max(0, end - args.window) : 0;
  const int first = seen_from / args.split_keys, last = (end - 1) / args.split_keys;
  float largest = -INFINITY;
  for (int split = first; split <= last; ++split)
    largest = fmaxf(largest, partial_of(args, split, head)[args.head_dim]);
  Out* out = static_cast<Out*>(args.out) + static_cast<int64_t>(head) * args.head_dim;
  for (int k = static_cast<int>(threadIdx.x); k < args.head_dim; k += kCombineThreads) {
    float sum = 0, total = 0;
    for (int split = first; split <= last; ++split) {
      const float* part = partial_of(args, split, head);
      const float weight = exp2f(part[args.head_dim] - largest);
      sum += weight * part[k];
      total += weight * part[args.head_dim + 1];
    }
    from_float(sum / total, out[k]);
  }
}

template <typename T, int kHeadDim>
LaunchCode decode_with(const AttentionArgs& args, Stream stream) {
  const int group = args.heads / args.kv_heads;
  const dim3 grid(static_cast<unsigned>(args.splits), static_cast<unsigned>(args.kv_heads),
                  static_cast<unsigned>((group + kRows - 1) / kRows));
  constexpr int64_t kSharedBytes = int64_t{kWarps} * kRows * (kHeadDim + 2) * 4;
  const LaunchCode code = launch(decode_kernel<T, kHeadDim>, grid, dim3(kWarps * kWarp), kSharedBytes, stream, args);
  if (code != 0) return code;
  const dim3 heads(static_cast<unsigned>(args.heads)), block(kCombineThreads);
  return args.out_type == Element::bf16 ? launch(combine_kernel<Bf16>, heads, block, 0, stream, args)
                                        : launch(combine_kernel<F16>, heads, block, 0, stream, args);
}

template <typename T>
LaunchCode decode_of(const AttentionArgs& args, Stream stream) {
  switch (args.head_dim) {
    case 64:
      return decode_with<T, 64>(args, stream);
    case 80:
      return decode_with<T, 80>(args, stream);
    case 96:
      return decode_with<T, 96>(args, stream);
    default:
      return decode_with<T, 128>(args, stream);
  }
}

}  // namespace

LaunchCode attention_decode(const AttentionArgs& args, Stream stream) {
  return args.type == Element::bf16 ? decode_of<Bf16>(args, stream) : decode_of<F16>(args, stream);
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
