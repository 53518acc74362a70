#include "kernels/cuda/shuffle.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

// Partial sums of a panel: row r goes to number r % kLanes, which are added in halves (0 + 4, 1 + 5, ...).
constexpr int kLanes = 8;
constexpr int kPanel = static_cast<int>(kShufflePanelRows);

template <typename T>
__device__ __forceinline__ T sum_lanes(T (&lanes)[kLanes]) {
#pragma unroll
  for (int half = kLanes / 2; half > 0; half /= 2)
#pragma unroll
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

constexpr int kThresholdGroups = 16;  // groups of a thread block, kLanes threads each

// The `kept` + 1 largest scores of a row, largest first, in registers for patterns that keep up to kMost.
template <int kMost>
__global__ void thresholds_kernel(GroupThresholdsArgs args) {
  __shared__ double masses[kThresholdGroups][kLanes];
  const int lane = static_cast<int>(threadIdx.x) % kLanes, slot = static_cast<int>(threadIdx.x) / kLanes;
  const int group = static_cast<int>(blockIdx.x) * kThresholdGroups + slot;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kPanel;
  const int64_t end = first + kPanel < args.rows ? first + kPanel : args.rows;
  double mass = 0.0;
  if (group < args.groups) {
    const int32_t* members = args.members + static_cast<int64_t>(group) * args.group;
    for (int64_t row = first + lane; row < end; row += kLanes) {
      float top[kMost + 1];
#pragma unroll
      for (int n = 0; n <= kMost; ++n) top[n] = __uint_as_float(0xff800000u);
      for (int k = 0; k < args.group; ++k) {
        float score = args.values[members[k] * args.rows + row];
#pragma unroll
        for (int n = 0; n <= kMost; ++n) {
          const float larger = fmaxf(score, top[n]);
          score = fminf(score, top[n]);
          top[n] = larger;
        }
      }
      float last_kept = 0.0f, first_lost = 0.0f;
#pragma unroll
      for (int n = 0; n <= kMost; ++n) {
        if (n < args.kept) mass += static_cast<double>(top[n]), last_kept = top[n];
        if (n == args.kept) first_lost = top[n];
      }
      for (int k = 0; k < args.group; ++k) {
        const int64_t place = members[k] * args.rows + row;
        args.thresholds[place] = args.values[place] >= last_kept ? first_lost : last_kept;
      }
    }
  }
  masses[slot][lane] = mass;
  __syncthreads();
  if (lane != 0 || group >= args.groups) return;
  double lanes[kLanes];
#pragma unroll
  for (int l = 0; l < kLanes; ++l) lanes[l] = masses[slot][l];
  args.masses[static_cast<int64_t>(group) * gridDim.y + blockIdx.y] = sum_lanes(lanes);
}

unsigned panels_of(int64_t rows) { return static_cast<unsigned>((rows + kPanel - 1) / kPanel); }

LaunchCode group_thresholds(const GroupThresholdsArgs& args, Stream stream) {
  if (args.groups == 0 || args.rows == 0) return 0;
  const dim3 grid(static_cast<unsigned>((args.groups + kThresholdGroups - 1) / kThresholdGroups), panels_of(args.rows));
  const dim3 block(kThresholdGroups * kLanes);
  if (args.kept <= 2) return launch(thresholds_kernel<2>, grid, block, 0, stream, args);
  if (args.kept <= 4) return launch(thresholds_kernel<4>, grid, block, 0, stream, args);
  if (args.kept <= 8) return launch(thresholds_kernel<8>, grid, block, 0, stream, args);
  return launch(thresholds_kernel<31>, grid, block, 0, stream, args);
}

constexpr int kSide = 32;                                // channels of either kind that a thread block takes
constexpr int kRun = static_cast<int>(kShuffleRowStep);  // rows in shared memory at a time
constexpr int kRunStride = kRun + 4;                     // 16 bytes more, so that neighbours lie in other banks
constexpr int kSideThreads = kSide / 2;                  // 2 x 2 pairs a thread

// A thread keeps the kLanes sums of four pairs; rows come through shared memory.
__global__ void sums_of_max_kernel(SumsOfMaxArgs args) {
  alignas(16) __shared__ float values[kSide * kRunStride], thresholds[kSide * kRunStride];
  const int thread = static_cast<int>(threadIdx.x);
  const int own_d = thread % kSideThreads, own_i = thread / kSideThreads;
  const int first_d = static_cast<int>(blockIdx.x) * kSide, first_i = static_cast<int>(blockIdx.y) * kSide;
  const int64_t first = static_cast<int64_t>(blockIdx.z) * kPanel;
  const int64_t end = first + kPanel < args.rows ? first + kPanel : args.rows;
  float sums[2][2][kLanes] = {};
  for (int64_t row = first; row < end; row += kRun) {
    for (int place = thread; place < kSide * kRun; place += kSideThreads * kSideThreads) {
      const int c = place / kRun, r = place % kRun, d = first_d + c, i = first_i + c;
      values[c * kRunStride + r] = d < args.channels ? args.values[d * args.rows + row + r] : 0.0f;
      thresholds[c * kRunStride + r] = i < args.count ? args.thresholds[args.from[i] * args.rows + row + r] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRun; r += kLanes)
#pragma unroll
      for (int a = 0; a < 2; ++a)
#pragma unroll
        for (int b = 0; b < 2; ++b)
#pragma unroll
          for (int l = 0; l < kLanes; ++l) {
            const float x = values[(own_d + b * kSideThreads) * kRunStride + r + l];
            const float t = thresholds[(own_i + a * kSideThreads) * kRunStride + r + l];
            sums[a][b][l] += fmaxf(x, t);  // one instruction; scores are no NaN
          }
    __syncthreads();
  }
  for (int a = 0; a < 2; ++a)
    for (int b = 0; b < 2; ++b) {
      const int i = first_i + own_i + a * kSideThreads, d = first_d + own_d + b * kSideThreads;
      if (i < args.count && d < args.channels)
        args.partial[(static_cast<int64_t>(blockIdx.z) * args.count + i) * args.channels + d] = sum_lanes(sums[a][b]);
    }
}

__global__ void add_panels_kernel(SumsOfMaxArgs args) {
  const int64_t pairs = static_cast<int64_t>(args.count) * args.channels;
  const int64_t pair = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pair >= pairs) return;
  const int64_t panels = (args.rows + kPanel - 1) / kPanel;
  double sum = 0.0;
  for (int64_t panel = 0; panel < panels; ++panel) sum += static_cast<double>(args.partial[panel * pairs + pair]);
  args.sums[pair] = sum;
}

LaunchCode sums_of_max(const SumsOfMaxArgs& args, Stream stream) {
  if (args.count == 0 || args.channels == 0) return 0;
  const auto tiles = [](int count) { return static_cast<unsigned>((count + kSide - 1) / kSide); };
  const dim3 grid(tiles(args.channels), tiles(args.count), panels_of(args.rows));
  if (args.rows > 0) {
    const LaunchCode code = launch(sums_of_max_kernel, grid, dim3(kSideThreads * kSideThreads), 0, stream, args);
    if (code != 0) return code;
  }
  constexpr int64_t kThreads = 256;
  const int64_t blocks = (static_cast<int64_t>(args.count) * args.channels + kThreads - 1) / kThreads;
  return launch(add_panels_kernel, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, stream, args);
}

}  // namespace

const ShuffleKernels& shuffle_kernels() {
  static const ShuffleKernels kernels = {group_thresholds, sums_of_max};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
