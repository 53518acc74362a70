// A warp streams its rows' weights from global memory straight into the registers that the matrix instruction reads:
// eight 16-byte loads a lane are on their way per 16 rows, and each is given again as soon as its register is free.
// Weights never touch shared memory. x does: each stage of it is copied while the one before is multiplied.
#include "kernels/cuda/few_linear.h"

#include "kernels/cuda/families.h"
#include "kernels/cuda/linear_epilogue.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/mma.h"
#include "kernels/cuda/tile_layout.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kLoads = 8;                       // of 16 bytes a lane, per panel and row block
constexpr int kPanelUnits = 32 * (1 + kLoads);  // of 16 bytes, metadata first
constexpr int kSparsePanel = TileLayout::kPanelColumns, kDensePanel = 128;  // columns
constexpr int kRowPadding = 4;  // floats between the tokens of the sums: no bank is asked twice

// Where chunk c (16 bytes) of a token's row stands: chunk c ^ swizzle(token). Eight tokens' equal chunks lie in
// different banks (load_matrices), and so do four neighbours of two neighbouring tokens (16-byte loads).
__device__ __forceinline__ int swizzle(int token) { return (token & 1) << 2 | (token >> 1 & 3); }

template <typename TypeOfX, int tiles, int row_blocks, int row_warps, int column_warps>
struct Config {
  using T = TypeOfX;
  static constexpr int kTiles = tiles, kBlocks = row_blocks, kRowWarps = row_warps, kColumnWarps = column_warps;
  static constexpr int kThreads = 32 * row_warps * column_warps, kRows = 16 * row_blocks * row_warps;
  static constexpr int kPitch = column_warps * kSparsePanel * 2;  // bytes of one token in a stage
  static constexpr int kBlocksAtOnce = tiles <= 2 ? 2 : 1;        // on a multiprocessor, at least
};

template <typename C>
struct Sums {
  float of[C::kBlocks][C::kTiles][4];
};

// Columns [first, first + columns) of x.
struct Span {
  int first, columns;
};

// A stage of x, `width` columns from `start` on of the span; zeros beyond its end.
template <typename C, int width>
__device__ __forceinline__ void copy_stage(const FewArgs& args, Span span, int start, unsigned char* buffer) {
  constexpr int kChunks = width / 8;
  const auto* x = static_cast<const uint16_t*>(args.x);
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0 && args.x_stride % 8 == 0 && span.first % 8 == 0;
  for (int i = static_cast<int>(threadIdx.x); i < args.tokens * kChunks; i += C::kThreads) {
    const int token = i / kChunks, chunk = i % kChunks, column = start + 8 * chunk;
    const int left = span.columns - column, count = left < 0 ? 0 : left > 8 ? 8 : left;
    const uint16_t* source = x + token * args.x_stride + span.first + (count > 0 ? column : 0);
    unsigned char* target = buffer + token * C::kPitch + (chunk ^ swizzle(token)) * 16;
    if (aligned) {
      copy_async_16(target, source, 2 * count);
    } else {
      for (int k = 0; k < 8; ++k) reinterpret_cast<uint16_t*>(target)[k] = k < count ? source[k] : uint16_t{0};
    }
  }
  end_copy_group();
}

// Runs body(stage, buffer) for the stages [first, last), with x there; the next stage is on its way meanwhile.
template <typename C, int width, typename Prepare, typename Body>
__device__ __forceinline__ void for_stages(const FewArgs& args, Span span, int first, int last, const Prepare& prepare,
                                           const Body& body) {
  auto* buffers = dynamic_shared<unsigned char>();
  const int stage_bytes = args.tokens * C::kPitch;
  prepare();
  wait_for_kernels_before();
  __syncthreads();  // whoever used the memory before is done
  copy_stage<C, width>(args, span, first * width, buffers);
  for (int stage = first; stage < last; ++stage) {
    wait_for_copy_groups<0>();
    __syncthreads();
    const int parity = (stage - first) % 2;
    if (stage + 1 < last) copy_stage<C, width>(args, span, (stage + 1) * width, buffers + (1 - parity) * stage_bytes);
    body(stage, buffers + parity * stage_bytes);
  }
}

struct Lane {
  int lane, row_warp, column_warp;
};
template <typename C>
__device__ __forceinline__ Lane this_lane() {
  const int thread = static_cast<int>(threadIdx.x);
  return {thread % 32, thread / 32 % C::kRowWarps, thread / 32 / C::kRowWarps};
}

__device__ __forceinline__ uint32_t word(const uint4& x, int i) {
  return i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w;
}

// Row of x that a lane reads for token tile n: the last token stands in for those that are not there; what comes of it
// is not stored.
__device__ __forceinline__ int token_row(const FewArgs& args, int n, int i) {
  const int token = 8 * n + i;
  return token < args.tokens ? token : args.tokens - 1;
}

template <typename C>
__device__ __forceinline__ void sparse_stages(const FewArgs& args, int64_t block, int first, int last, Sums<C>& sums) {
  using T = typename C::T;
  const Lane me = this_lane<C>();
  const int panels = (args.sparse_columns + kSparsePanel - 1) / kSparsePanel;
  const int of_last = (args.sparse_columns - (panels - 1) * kSparsePanel + 63) / 64 * 2;
  const int64_t block_units =
      static_cast<int64_t>(panels) * 32 + (static_cast<int64_t>(panels - 1) * kLoads + of_last) * 32;
  const int64_t last_block = (args.sparse_rows - 1) / 16;
  const uint4* tiles[C::kBlocks];
  ESPARSE_UNROLL
  for (int r = 0; r < C::kBlocks; ++r) {
    const int64_t mine = block * (C::kRows / 16) + me.row_warp * C::kBlocks + r;
    tiles[r] =
        reinterpret_cast<const uint4*>(args.tiles) + (mine < last_block ? mine : last_block) * block_units + me.lane;
  }
  int rows_of_x[C::kTiles];
  ESPARSE_UNROLL
  for (int n = 0; n < C::kTiles; ++n) {
    const int token = token_row(args, n, me.lane % 8);
    rows_of_x[n] = token * C::kPitch + me.column_warp * (kSparsePanel * 2) + ((me.lane / 8) ^ swizzle(token)) * 16;
  }
  auto fragments_of = [&](int panel) { return panel < panels - 1 ? kLoads : panel < panels ? of_last : 0; };
  uint4 metadata[C::kBlocks], fragments[C::kBlocks][kLoads];
  auto load = [&](int panel, int j) {
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r)
      fragments[r][j] = load_once(tiles[r] + static_cast<int64_t>(panel) * kPanelUnits + 32 * (1 + j));
  };
  auto load_metadata = [&](int panel) {
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r) metadata[r] = load_once(tiles[r] + static_cast<int64_t>(panel) * kPanelUnits);
  };
  auto prepare = [&] {
    const int panel = first * C::kColumnWarps + me.column_warp, count = fragments_of(panel);
    if (count > 0) load_metadata(panel);
    ESPARSE_UNROLL
    for (int j = 0; j < kLoads; ++j)
      if (j < count) load(panel, j);
  };
  for_stages<C, kSparsePanel * C::kColumnWarps>(
      args, Span{0, args.sparse_columns}, first, last, prepare, [&](int stage, const unsigned char* x) {
        const int panel = stage * C::kColumnWarps + me.column_warp, next = panel + C::kColumnWarps;
        const int count = fragments_of(panel), count_next = stage + 1 < last ? fragments_of(next) : 0;
        uint4 codes[C::kBlocks];
        ESPARSE_UNROLL
        for (int r = 0; r < C::kBlocks; ++r) codes[r] = metadata[r];
        if (count_next > 0) load_metadata(next);
        ESPARSE_UNROLL
        for (int j = 0; j < kLoads; ++j) {
          if (j < count) {
            ESPARSE_UNROLL
            for (int n = 0; n < C::kTiles; ++n) {
              uint32_t b[4];
              load_matrices(b, x + (rows_of_x[n] ^ (j % 2 * 64)) + j / 2 * 128);
              ESPARSE_UNROLL
              for (int r = 0; r < C::kBlocks; ++r) {
                const uint32_t a[4] = {fragments[r][j].x, fragments[r][j].y, fragments[r][j].z, fragments[r][j].w};
                if (j % 2 == 0)
                  mma_sp_16x8x32<T, 0>(sums.of[r][n], a, b, word(codes[r], j / 2));
                else
                  mma_sp_16x8x32<T, 1>(sums.of[r][n], a, b, word(codes[r], j / 2));
              }
            }
          }
          if (j < count_next) load(next, j);
        }
      });
}

// Along k the instruction takes columns in another order than they stand, the same for W and x: lane t of four has
// columns 8t .. 8t + 7 of each 32, one 16-byte load of a row as it lies in memory, for two instructions.
template <typename C>
__device__ __forceinline__ void dense_stages(const FewArgs& args, int64_t block, int first, int last, Sums<C>& sums) {
  using T = typename C::T;
  const Lane me = this_lane<C>();
  const int g = me.lane / 4, t = me.lane % 4;
  const int64_t chunks = args.dense_stride / 8;  // of a row; those behind the last column are zero or not there
  const uint4* rows[C::kBlocks][2];
  ESPARSE_UNROLL
  for (int r = 0; r < C::kBlocks; ++r) ESPARSE_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int64_t mine = (block * (C::kRows / 16) + me.row_warp * C::kBlocks + r) * 16 + half * 8 + g;
    rows[r][half] =
        static_cast<const uint4*>(args.dense) + (mine < args.dense_rows ? mine : args.dense_rows - 1) * chunks + t;
  }
  int rows_of_x[C::kTiles];
  ESPARSE_UNROLL
  for (int n = 0; n < C::kTiles; ++n) {
    const int token = token_row(args, n, g);
    rows_of_x[n] = token * C::kPitch + me.column_warp * (kDensePanel * 2) + (t ^ swizzle(token)) * 16;
  }
  uint4 fragments[C::kBlocks][kLoads];
  auto load = [&](int panel, int j) {
    const int64_t chunk = static_cast<int64_t>(panel) * (kDensePanel / 8) + j / 2 * 4;
    ESPARSE_UNROLL
    for (int r = 0; r < C::kBlocks; ++r)
      fragments[r][j] = chunk + t < chunks ? load_once(rows[r][j % 2] + chunk) : uint4{0, 0, 0, 0};
  };
  auto prepare = [&] {
    ESPARSE_UNROLL
    for (int j = 0; j < kLoads; ++j) load(first * C::kColumnWarps + me.column_warp, j);
  };
  const Span span{args.stacked ? 0 : args.sparse_columns, args.dense_columns};
  for_stages<C, kDensePanel * C::kColumnWarps>(
      args, span, first, last, prepare, [&](int stage, const unsigned char* x) {
        const int next = (stage + 1) * C::kColumnWarps + me.column_warp;
        ESPARSE_UNROLL
        for (int u = 0; u < kLoads / 2; ++u) {
          ESPARSE_UNROLL
          for (int n = 0; n < C::kTiles; ++n) {
            const uint4 of_x = *reinterpret_cast<const uint4*>(x + (rows_of_x[n] ^ (u % 2 * 64)) + u / 2 * 128);
            ESPARSE_UNROLL
            for (int r = 0; r < C::kBlocks; ++r) {
              const uint4 &upper = fragments[r][2 * u], &lower = fragments[r][2 * u + 1];
              mma_16x8x16<T>(sums.of[r][n], {upper.x, lower.x, upper.y, lower.y}, {of_x.x, of_x.y});
              mma_16x8x16<T>(sums.of[r][n], {upper.z, lower.z, upper.w, lower.w}, {of_x.z, of_x.w});
            }
          }
          if (stage + 1 < last) load(next, 2 * u), load(next, 2 * u + 1);
        }
      });
}

// The sums of all warps, those of the same rows one after another.
template <typename C>
__device__ __forceinline__ void share_sums(const FewArgs& args, const Sums<C>& sums) {
  constexpr int kPitch = C::kRows + kRowPadding;
  const Lane me = this_lane<C>();
  auto* shared = dynamic_shared<float>() + me.column_warp * args.tokens * kPitch;
  __syncthreads();
  ESPARSE_UNROLL
  for (int r = 0; r < C::kBlocks; ++r) ESPARSE_UNROLL
  for (int n = 0; n < C::kTiles; ++n) ESPARSE_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int row = (me.row_warp * C::kBlocks + r) * 16 + i / 2 * 8 + me.lane / 4;
    const int token = 8 * n + me.lane % 4 * 2 + i % 2;
    if (token < args.tokens) shared[token * kPitch + row] = sums.of[r][n][i];
  }
  __syncthreads();
}
template <typename C>
__device__ __forceinline__ float shared_sum(const FewArgs& args, int token, int row) {
  constexpr int kPitch = C::kRows + kRowPadding;
  const float* shared = dynamic_shared<float>() + token * kPitch + row;
  float sum = shared[0];
  for (int warp = 1; warp < C::kColumnWarps; ++warp) sum += shared[warp * args.tokens * kPitch];
  return sum;
}

// Whether this block is the last of those that share rows; the others' partial sums can be read then.
__device__ __forceinline__ bool last_of_splits(const FewArgs& args) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&args.counters[blockIdx.x], 1u) + 1 == static_cast<uint32_t>(args.splits);
    if (last) args.counters[blockIdx.x] = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

// Stores the rows [first_row, first_row + count) of y; partial sums are added in the order of the splits.
template <typename C>
__device__ __forceinline__ void store_rows(const FewArgs& args, int64_t first_row, int64_t count) {
  const Epilogue epilogue{args.bias, args.y, args.y_stride, args.y_type, args.add};
  const int rows = static_cast<int>(count < C::kRows ? count : C::kRows), outputs = C::kRows * args.tokens;
  const int64_t of_block = static_cast<int64_t>(blockIdx.x) * args.splits * outputs;
  if (args.splits > 1) {
    float* partials = args.partials + of_block + static_cast<int64_t>(blockIdx.y) * outputs;
    for (int i = static_cast<int>(threadIdx.x); i < outputs; i += C::kThreads)
      partials[i] = shared_sum<C>(args, i / C::kRows, i % C::kRows);
    if (!last_of_splits(args)) return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < outputs; i += C::kThreads) {
    const int token = i / C::kRows, row = i % C::kRows;
    if (row >= rows) continue;
    float sum = 0;
    if (args.splits > 1)
      for (int split = 0; split < args.splits; ++split) sum += __ldcg(args.partials + of_block + split * outputs + i);
    else
      sum = shared_sum<C>(args, token, row);
    epilogue.template store<typename C::T>(token, first_row + row, sum);
  }
}

__device__ __forceinline__ int stages_of(int columns, int width) { return (columns + width - 1) / width; }

template <typename C>
__global__ void __launch_bounds__(C::kThreads, C::kBlocksAtOnce) few_kernel(FewArgs args) {
  let_next_kernel_start();
  const int sparse_blocks = args.stacked ? (args.sparse_rows + C::kRows - 1) / C::kRows : 0;
  const bool below = args.stacked && static_cast<int>(blockIdx.x) >= sparse_blocks;  // in the dense rows
  const int block = static_cast<int>(blockIdx.x) - (below ? sparse_blocks : 0);
  int sparse = stages_of(args.sparse_columns, kSparsePanel * C::kColumnWarps);
  int dense = stages_of(args.dense_columns, kDensePanel * C::kColumnWarps);
  if (args.sparse_rows == 0 || below) sparse = 0;
  if (args.dense_rows == 0 || (args.stacked && !below)) dense = 0;
  const int split = static_cast<int>(blockIdx.y), total = sparse + dense;
  const int first = total * split / args.splits, last = total * (split + 1) / args.splits;
  Sums<C> sums = {};
  if (first < sparse) sparse_stages<C>(args, block, first, last < sparse ? last : sparse, sums);
  if (last > sparse) dense_stages<C>(args, block, first > sparse ? first - sparse : 0, last - sparse, sums);
  share_sums<C>(args, sums);
  const int64_t row = static_cast<int64_t>(block) * C::kRows;
  const int64_t rows = below || args.sparse_rows == 0 ? args.dense_rows : args.sparse_rows;
  store_rows<C>(args, below ? args.sparse_rows + row : row, rows - row);
}

template <typename T, int index>
LaunchCode run(const FewArgs& args, Stream stream) {
  constexpr FewConfig kConfig = kFewConfigs[index];
  using C = Config<T, kConfig.token_tiles, kConfig.row_blocks, kConfig.row_warps, kConfig.column_warps>;
  const int64_t stages = 2ll * args.tokens * C::kPitch;
  const int64_t sums = int64_t{4} * C::kColumnWarps * args.tokens * (C::kRows + kRowPadding);
  const dim3 grid(static_cast<unsigned>(few_blocks(args)), static_cast<unsigned>(args.splits));
  return launch_early(few_kernel<C>, grid, dim3(C::kThreads), stages > sums ? stages : sums, stream, args, args.early);
}

template <typename T>
LaunchCode run_of_type(const FewArgs& args, Stream stream) {
  switch (args.config) {
    case 0:
      return run<T, 0>(args, stream);
    case 1:
      return run<T, 1>(args, stream);
    case 2:
      return run<T, 2>(args, stream);
    case 3:
      return run<T, 3>(args, stream);
    case 4:
      return run<T, 4>(args, stream);
    case 5:
      return run<T, 5>(args, stream);
    case 6:
      return run<T, 6>(args, stream);
    default:
      return run<T, 7>(args, stream);
  }
}

LaunchCode few(const FewArgs& args, Stream stream) {
  return args.type == Element::bf16 ? run_of_type<Bf16>(args, stream) : run_of_type<F16>(args, stream);
}

}  // namespace

const FewLinearKernels& few_linear_kernels() {
  static const FewLinearKernels kernels = {few};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
