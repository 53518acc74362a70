// A warp sweeps a row, four columns a lane: column c stands in register c / 32 of lane c % 32. U is shared by the rows
// of a thread block, 66 KiB. Removing a column is one shuffle and at most four multiply-adds a lane; kept columns cost
// nothing, so that 2:4 takes half of them.
#include "kernels/cuda/obs.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kWarps = 16;
constexpr int kParts = kObsColumns / kWarp;  // registers of a lane
constexpr int kUStride = kObsColumns + 1;    // so that its columns are read and written without bank conflicts
constexpr unsigned kAll = 0xffffffffu;
constexpr unsigned kMaxBlocks = 256;  // more would load U again rather than keep more multiprocessors busy

struct SharedU {
  float u[kObsColumns * kUStride];  // zero below the diagonal
  float scale[kObsColumns];         // 1 / U_cc
  float scores[kWarps][kWarp];      // of one group, per warp
};

__device__ __forceinline__ void load_u(const ObsBlockArgs& args, SharedU& shared) {
  for (int i = static_cast<int>(threadIdx.x); i < kObsColumns * kObsColumns; i += static_cast<int>(blockDim.x)) {
    const int j = i / kObsColumns, c = i % kObsColumns;
    const bool inside = j < args.columns && c <= j;
    shared.u[c * kUStride + j] = inside ? args.u_transposed[j * args.u_stride + c] : 0.0f;
    if (c == j) shared.scale[c] = inside ? 1.0f / args.u_transposed[j * args.u_stride + c] : 0.0f;
  }
  __syncthreads();
}

// Which of the `count` columns from `first` are removed, bit k for column first + k; known to all lanes. Of equal
// scores the lower column is kept.
__device__ __forceinline__ unsigned choose_group(const float (&w)[kParts], const float* scale, int first, int count,
                                                 int kept, float* scores) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int column = part * kWarp + lane;
    if (column >= first && column < first + count) scores[column - first] = fabsf(w[part] * scale[column]);
  }
  __syncwarp();
  int before = 0;
  const float own = scores[lane < count ? lane : 0];
  for (int other = 0; other < count; ++other) {
    const float score = scores[other];
    before += other < lane ? score >= own : score > own;
  }
  const unsigned removed = __ballot_sync(kAll, lane < count && before >= kept);
  __syncwarp();  // the scores have been read
  return removed;
}

// The bits of columns from `first` on, put to their places in the words of 32 columns.
__device__ __forceinline__ void place_bits(unsigned bits, int first, unsigned (&words)[kParts]) {
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int shift = first - part * kWarp;
    if (shift >= 0 && shift < kWarp) words[part] |= bits << shift;
    if (shift < 0 && shift > -kWarp) words[part] |= bits >> -shift;
  }
}

__device__ __forceinline__ void sweep_row(const ObsBlockArgs& args, const SharedU& shared, float* scores, int64_t row) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float* weight = args.weight + row * args.weight_stride;
  uint8_t* mask = args.mask + row * args.mask_stride;
  float w[kParts], error[kParts];
  unsigned removed[kParts];
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int column = part * kWarp + lane;
    const bool inside = column < args.columns;
    w[part] = inside ? weight[column] : 0.0f;
    error[part] = 0.0f;
    removed[part] = args.group == 0 ? __ballot_sync(kAll, inside && mask[column] == 0) : 0u;
  }
  float loss = 0.0f;
  int next_group = args.group == 0 ? args.columns : 0;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    for (int k = 0; k < kWarp; ++k) {
      const int column = part * kWarp + k;
      if (column >= args.columns) break;
      if (column == next_group) {
        const int left = args.columns - column, count = left < args.group ? left : args.group;
        const int kept = (args.kept * count + args.group - 1) / args.group;
        place_bits(choose_group(w, shared.scale, column, count, kept, scores), column, removed);
        next_group += args.group;
      }
      if ((removed[part] >> k & 1u) == 0) continue;
      const float gone = __shfl_sync(kAll, w[part], k) * shared.scale[column];
      loss += gone * gone;
      const float* u = shared.u + column * kUStride + lane;
#pragma unroll
      for (int later = part; later < kParts; ++later) w[later] -= gone * u[later * kWarp];
      if (lane == k) w[part] = 0.0f, error[part] = -gone;
    }
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int column = part * kWarp + lane;
    args.errors[row * kObsColumns + column] = error[part];
    if (column >= args.columns) continue;
    weight[column] = w[part];
    if (args.group != 0) mask[column] = static_cast<uint8_t>(~removed[part] >> lane & 1u);
  }
  if (lane == 0) args.losses[row] += static_cast<double>(loss);
}

__global__ void __launch_bounds__(kWarps* kWarp) sweep_block_kernel(ObsBlockArgs args) {
  SharedU& shared = *dynamic_shared<SharedU>();
  load_u(args, shared);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp; row < args.rows;
       row += static_cast<int64_t>(gridDim.x) * kWarps)
    sweep_row(args, shared, shared.scores[warp], row);
}

LaunchCode sweep_block(const ObsBlockArgs& args, Stream stream) {
  if (args.rows == 0 || args.columns == 0) return 0;
  const unsigned blocks = static_cast<unsigned>((args.rows + kWarps - 1) / kWarps);
  return launch(sweep_block_kernel, dim3(blocks < kMaxBlocks ? blocks : kMaxBlocks), dim3(kWarps * kWarp),
                int64_t{sizeof(SharedU)}, stream, args);
}

}  // namespace

const ObsKernels& obs_kernels() {
  static const ObsKernels kernels = {sweep_block};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
