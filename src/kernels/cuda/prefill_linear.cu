// Weights go from global memory (L2, mostly) into the registers of the matrix instruction, one step of 32 columns ahead
// of their use or more; x passes through four stages of 64 columns in shared memory.
#include "kernels/cuda/prefill_linear.h"

#include "kernels/cuda/families.h"
#include "kernels/cuda/linear_epilogue.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/mma.h"
#include "kernels/cuda/tile_layout.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kStages = 4, kStageColumns = 64, kPitch = kStageColumns * 2;  // bytes of a token in a stage
constexpr int kTiles = 8;                                                   // of 8 tokens, of a warp
constexpr int kPanelUnits = 32 * 9;                                         // of 16 bytes, metadata first

template <typename TypeOfX, int row_blocks, int row_warps, int token_warps>
struct Config {
  using T = TypeOfX;
  static constexpr int kBlocks = row_blocks, kRowWarps = row_warps, kTokens = 64 * token_warps;
  static constexpr int kThreads = 32 * row_warps * token_warps, kRows = 16 * row_blocks * row_warps;
  static constexpr int kStageBytes = kTokens * kPitch;
  static constexpr int kSumsPitch = 16 * row_blocks + 4;  // floats between the tokens of a warp's sums
};

// A stage of x: chunk c (8 columns) of a token stands at chunk c ^ (token % 8), so that equal chunks of eight tokens
// lie in different banks. Zeros beyond the columns; tokens beyond the end repeat the last.
template <typename C>
__device__ __forceinline__ void copy_stage(const PrefillArgs& args, int64_t first_token, int stage,
                                           unsigned char* buffer) {
  const auto* x = static_cast<const uint16_t*>(args.x);
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0 && args.x_stride % 8 == 0;
  for (int i = static_cast<int>(threadIdx.x); i < C::kTokens * 8; i += C::kThreads) {
    const int row = i / 8, chunk = i % 8, column = stage * kStageColumns + 8 * chunk;
    const int64_t token = first_token + row < args.tokens ? first_token + row : args.tokens - 1;
    const int left = args.columns - column, count = left < 0 ? 0 : left > 8 ? 8 : left;
    const uint16_t* source = x + token * args.x_stride + (count > 0 ? column : 0);
    unsigned char* target = buffer + row * kPitch + (chunk ^ (row % 8)) * 16;
    if (aligned) {
      copy_async_16(target, source, 2 * count);
    } else {
      for (int k = 0; k < 8; ++k) reinterpret_cast<uint16_t*>(target)[k] = k < count ? source[k] : uint16_t{0};
    }
  }
}

// A warp's rows of W: fragments and metadata of one stage of 64 columns.
template <typename C>
struct Weights {
  const uint4* tiles[C::kBlocks];  // of this lane
  uint4 fragments[C::kBlocks][2];
  uint32_t metadata[C::kBlocks];

  __device__ __forceinline__ void open(const PrefillArgs& args, int64_t first_block, int lane) {
    const int panels = (args.columns + 255) / 256, fragments_of_row = (args.columns + 63) / 64 * 2;
    const int64_t block_units = 32ll * (panels + fragments_of_row), last_block = (args.rows - 1) / 16;
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r) {
      const int64_t block = first_block + r < last_block ? first_block + r : last_block;
      tiles[r] = reinterpret_cast<const uint4*>(args.tiles) + block * block_units + lane;
    }
  }
  __device__ __forceinline__ void load(int stage, int step) {
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r)
      fragments[r][step] = load_shared_by_warps(tiles[r] + static_cast<int64_t>(stage / 4) * kPanelUnits +
                                                32 * (1 + stage % 4 * 2 + step));
  }
  __device__ __forceinline__ void load_metadata(int stage, uint32_t (&words)[C::kBlocks]) const {
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r)
      words[r] = reinterpret_cast<const uint32_t*>(tiles[r] + static_cast<int64_t>(stage / 4) * kPanelUnits)[stage % 4];
  }
};

// sums[r][n] of the warp's rows and tokens.
template <typename C>
__device__ __forceinline__ void multiply(const PrefillArgs& args, int64_t first_token, int64_t first_block, int lane,
                                         int token_warp, float (&sums)[C::kBlocks][kTiles][4]) {
  using T = typename C::T;
  auto* buffers = dynamic_shared<unsigned char>();
  const int stages = (args.columns + kStageColumns - 1) / kStageColumns;
  Weights<C> weights;
  weights.open(args, first_block, lane);
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < stages) copy_stage<C>(args, first_token, stage, buffers + stage * C::kStageBytes);
    end_copy_group();
  }
  weights.load(0, 0), weights.load(0, 1), weights.load_metadata(0, weights.metadata);
  const int row_of_x = (token_warp * 64 + lane % 8) * kPitch;
  for (int stage = 0; stage < stages; ++stage) {
    wait_for_copy_groups<kStages - 2>();
    __syncthreads();
    const int ahead = stage + kStages - 1;
    if (ahead < stages) copy_stage<C>(args, first_token, ahead, buffers + ahead % kStages * C::kStageBytes);
    end_copy_group();
    uint32_t metadata[C::kBlocks];
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r) metadata[r] = weights.metadata[r];
    if (stage + 1 < stages) weights.load_metadata(stage + 1, weights.metadata);
    const unsigned char* x = buffers + stage % kStages * C::kStageBytes + row_of_x;
    ESPARSE_UNROLL
    for (int step = 0; step < 2; ++step) {
      const int chunk = ((step * 4 + lane / 8) ^ (lane % 8)) * 16;
      ESPARSE_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        uint32_t b[4];
        load_matrices(b, x + n * 8 * kPitch + chunk);
        ESPARSE_UNROLL
        for (int r = 0; r < C::kBlocks; ++r) {
          const uint4& fragment = weights.fragments[r][step];
          const uint32_t a[4] = {fragment.x, fragment.y, fragment.z, fragment.w};
          if (step == 0)
            mma_sp_16x8x32<T, 0>(sums[r][n], a, b, metadata[r]);
          else
            mma_sp_16x8x32<T, 1>(sums[r][n], a, b, metadata[r]);
        }
      }
      if (stage + 1 < stages) weights.load(stage + 1, step);
    }
  }
}

// Eight tokens at a time through shared memory, so that neighbouring lanes store neighbouring rows.
template <typename C>
__device__ __forceinline__ void store(const PrefillArgs& args, int64_t first_token, int64_t first_row, int lane,
                                      int warp, const float (&sums)[C::kBlocks][kTiles][4]) {
  const Epilogue epilogue{args.bias, args.y, args.y_stride, args.y_type, args.add};
  float* shared = dynamic_shared<float>() + warp * 8 * C::kSumsPitch;
  __syncthreads();
  ESPARSE_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r) ESPARSE_UNROLL
    for (int i = 0; i < 4; ++i)
      shared[(lane % 4 * 2 + i % 2) * C::kSumsPitch + r * 16 + i / 2 * 8 + lane / 4] = sums[r][n][i];
    __syncwarp();
    for (int i = 0; i < 8; ++i) {
      const int64_t token = first_token + 8 * n + i;
      for (int row = lane; row < 16 * C::kBlocks; row += 32)
        if (token < args.tokens && first_row + row < args.rows)
          epilogue.template store<typename C::T>(token, first_row + row, shared[i * C::kSumsPitch + row]);
    }
    __syncwarp();
  }
}

template <typename C>
__global__ void __launch_bounds__(C::kThreads) prefill_kernel(PrefillArgs args) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int row_warp = warp % C::kRowWarps, token_warp = warp / C::kRowWarps;
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * C::kTokens;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * C::kRows + row_warp * 16 * C::kBlocks;
  float sums[C::kBlocks][kTiles][4] = {};
  multiply<C>(args, first_token, first_row / 16, lane, token_warp, sums);
  store<C>(args, first_token + token_warp * 64, first_row, lane, warp, sums);
}

template <typename T, int index>
LaunchCode run(const PrefillArgs& args, Stream stream) {
  constexpr PrefillConfig kConfig = kPrefillConfigs[index];
  using C = Config<T, kConfig.row_blocks, kConfig.row_warps, kConfig.token_warps>;
  constexpr int kSumsBytes = C::kThreads / 32 * 8 * C::kSumsPitch * 4;
  static_assert(kSumsBytes <= kStages * C::kStageBytes, "the sums pass through the memory of x");
  const dim3 grid(static_cast<unsigned>((args.rows + C::kRows - 1) / C::kRows),
                  static_cast<unsigned>((args.tokens + C::kTokens - 1) / C::kTokens));
  return launch(prefill_kernel<C>, grid, dim3(C::kThreads), kStages * C::kStageBytes, stream, args);
}

LaunchCode sparse(const PrefillArgs& args, Stream stream) {
  if (args.type == Element::bf16) return args.config == 0 ? run<Bf16, 0>(args, stream) : run<Bf16, 1>(args, stream);
  return args.config == 0 ? run<F16, 0>(args, stream) : run<F16, 1>(args, stream);
}

}  // namespace

const PrefillLinearKernels& prefill_linear_kernels() {
  static const PrefillLinearKernels kernels = {sparse};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
