#include "kernels/cuda/linear_parts.h"

#include "kernels/cuda/elements.h"
#include "kernels/cuda/families.h"
#include "kernels/cuda/linear_epilogue.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/tile_layout.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

using Layout = TileLayout;
constexpr int kThreads = 256, kMostRows = 65535;
constexpr int kPadding = 0 | 1 << 2;  // the places of a group that keeps nothing: any two in order

unsigned blocks_of(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }
__device__ __forceinline__ int64_t thread_number() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

// The bits of the columns 4 * group .. 4 * group + 3 of a row; none beyond the end.
__device__ __forceinline__ unsigned group_bits(const BitRows& source, int64_t row, int64_t group) {
  const int64_t row_bytes = (source.columns + 7) / 8;
  if (row >= source.rows || group / 2 >= row_bytes) return 0;
  return source.bitmask[row * row_bytes + group / 2] >> (group % 2 * 4) & 15u;
}

// i0 | i1 << 2. A single bit is a last group of one or two columns; its second place is column 3, beyond the end.
__device__ __forceinline__ unsigned places_of(unsigned bits) {
  if (bits == 0) return kPadding;
  const int first = __ffs(static_cast<int>(bits)) - 1;
  const unsigned others = bits & (bits - 1);
  return static_cast<unsigned>(first | (others != 0 ? __ffs(static_cast<int>(others)) - 1 : 3) << 2);
}

// The two kept values of a group: all groups before it keep two as well.
__device__ __forceinline__ uint32_t group_values(const BitRows& source, int64_t row, int64_t group) {
  const int kept = __popc(group_bits(source, row, group));
  if (kept == 0) return 0;
  const uint16_t* values = source.values + row * source.kept_per_row + 2 * group;
  return kept == 1 ? values[0] : values[0] | static_cast<uint32_t>(values[1]) << 16;
}

// Four groups from `group` on of rows `row` and `row` + 8: the metadata of one lane.
__device__ __forceinline__ uint32_t lane_metadata(const BitRows& source, int64_t row, int64_t group) {
  uint32_t word = 0;
  for (int i = 0; i < 8; ++i) word |= places_of(group_bits(source, row + i / 4 * 8, group + i % 4)) << (4 * i);
  return word;
}

// One thread a lane of a panel: reads the rows g and g + 8 of 256 columns, writes 16 bytes at a time.
__global__ void make_tiles_kernel(MakeTilesArgs args) {
  const int64_t number = thread_number();
  const int64_t panels = (args.source.columns + Layout::kPanelColumns - 1) / Layout::kPanelColumns;
  const int lane = static_cast<int>(number % Layout::kLanes);
  const int64_t panel = number / Layout::kLanes % panels, block = number / Layout::kLanes / panels;
  if (block * Layout::kRows >= args.source.rows) return;
  const int64_t fragments = (args.source.columns + Layout::kPairColumns - 1) / Layout::kPairColumns * 2;
  const int64_t block_bytes = panels * Layout::kMetadataBytes + fragments * Layout::kFragmentBytes;
  const int64_t panel_bytes = Layout::kMetadataBytes + 8 * Layout::kFragmentBytes;
  uint4* target = reinterpret_cast<uint4*>(args.tiles + block * block_bytes + panel * panel_bytes) + lane;
  const int64_t row = block * Layout::kRows + lane / 4, first_group = panel * Layout::kPanelColumns / 4;
  const int t = lane % 4;
  uint32_t metadata[4];
  for (int pair = 0; pair < 4; ++pair)
    metadata[pair] = lane_metadata(args.source, row, first_group + pair * 16 + t / 2 * 8 + t % 2 * 4);
  *target = uint4{metadata[0], metadata[1], metadata[2], metadata[3]};
  for (int fragment = 0; fragment < 8 && panel * 8 + fragment < fragments; ++fragment) {
    const int64_t group = first_group + fragment * 8 + t;
    target += Layout::kLanes;
    *target = uint4{group_values(args.source, row, group), group_values(args.source, row + 8, group),
                    group_values(args.source, row, group + 4), group_values(args.source, row + 8, group + 4)};
  }
}

// One thread four columns of a row.
__global__ void expand_tiles_kernel(ExpandTilesArgs args) {
  const int64_t groups = (args.columns + 3) / 4, number = thread_number();
  const int64_t group = number % groups, row = number / groups;
  if (row >= args.rows) return;
  const int64_t panels = (args.columns + Layout::kPanelColumns - 1) / Layout::kPanelColumns;
  const int64_t fragments = (args.columns + Layout::kPairColumns - 1) / Layout::kPairColumns * 2;
  const int64_t block_bytes = panels * Layout::kMetadataBytes + fragments * Layout::kFragmentBytes;
  const int64_t panel_bytes = Layout::kMetadataBytes + 8 * Layout::kFragmentBytes;
  const int64_t of_weight = args.first_row + row, panel = group / 64;
  const uint8_t* start = args.tiles + of_weight / Layout::kRows * block_bytes + panel * panel_bytes;
  const int in_block = static_cast<int>(of_weight % Layout::kRows), g = in_block % 8, half = in_block / 8;
  const int fragment = static_cast<int>(group % 64 / 8), of_fragment = static_cast<int>(group % 8);
  const int holder = 4 * g + fragment % 2 * 2 + of_fragment / 4;
  const uint32_t word = reinterpret_cast<const uint32_t*>(start)[holder * 4 + fragment / 2];
  const unsigned places = word >> (half * 16 + of_fragment % 4 * 4) & 15u;
  const uint32_t values = reinterpret_cast<const uint32_t*>(
      start + Layout::kMetadataBytes +
      fragment * Layout::kFragmentBytes)[(4 * g + of_fragment % 4) * 4 + half + of_fragment / 4 * 2];
  const uint32_t low = values & 0xffff, high = values >> 16;
  uint32_t of_column[4];
  ESPARSE_UNROLL
  for (unsigned i = 0; i < 4; ++i) of_column[i] = (places & 3) == i ? low : (places >> 2) == i ? high : 0;
  uint16_t* target = args.target + row * args.stride + 4 * group;
  if (args.stride % 4 == 0 && 4 * group + 4 <= args.columns) {
    *reinterpret_cast<uint2*>(target) = uint2{of_column[0] | of_column[1] << 16, of_column[2] | of_column[3] << 16};
  } else {
    ESPARSE_UNROLL
    for (int i = 0; i < 4; ++i)
      if (4 * group + i < args.columns) target[i] = static_cast<uint16_t>(of_column[i]);
  }
}

// One warp a row, 8 times 32 columns at once: a lane's value stands behind those of the lanes before it.
__global__ void expand_bits_kernel(ExpandBitsArgs args) {
  const BitRows& source = args.source;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (row >= args.rows) return;
  const int64_t of_weight = args.first_row + row, row_bytes = (source.columns + 7) / 8;
  const uint8_t* bits = source.bitmask + of_weight * row_bytes;
  const uint16_t* values =
      source.values + (source.row_offsets != nullptr ? source.row_offsets[of_weight] : of_weight * source.kept_per_row);
  uint16_t* target = args.target + row * args.stride;
  constexpr int kSteps = 8;
  for (int64_t first = 0; first < source.columns; first += kSteps * kWarp) {
    unsigned kept[kSteps];
    ESPARSE_UNROLL
    for (int i = 0; i < kSteps; ++i) {
      const int64_t column = first + i * kWarp + lane;
      kept[i] = column < source.columns ? bits[column / 8] >> (column % 8) & 1u : 0u;
    }
    ESPARSE_UNROLL
    for (int i = 0; i < kSteps; ++i) {
      const unsigned votes = __ballot_sync(0xffffffffu, kept[i] != 0);
      const int64_t column = first + i * kWarp + lane;
      const uint16_t value = kept[i] != 0 ? values[__popc(votes & ((1u << lane) - 1))] : uint16_t{0};
      if (column < source.columns) target[column] = value;
      values += __popc(votes);
    }
  }
}

// A thread an output; grid.y strides over the tokens.
template <typename T>
__global__ void bias_kernel(BiasArgs args) {
  const int64_t o = thread_number();
  if (o >= args.width) return;
  for (int64_t t = blockIdx.y; t < args.tokens; t += gridDim.y) {
    T& y = static_cast<T*>(args.y)[t * args.stride + o];
    from_float(args.add ? to_float(y) + args.bias[o] : args.bias[o], y);
  }
}

template <typename T>
__global__ void add_rows_kernel(AddRowsArgs args) {
  const int64_t o = thread_number();
  if (o >= args.width) return;
  const Epilogue epilogue{args.bias, args.y, args.stride, args.type, args.add};
  for (int64_t t = blockIdx.y; t < args.tokens; t += gridDim.y)
    epilogue.template store<T>(t, o, to_float(static_cast<const T*>(args.source)[t * args.source_stride + o]));
}

dim3 grid_of_rows(int64_t width, int64_t tokens) {
  return dim3(blocks_of(width), static_cast<unsigned>(tokens < kMostRows ? tokens : kMostRows));
}

LaunchCode make_tiles(const MakeTilesArgs& args, Stream stream) {
  const Layout layout{args.source.rows, args.source.columns};
  const int64_t threads = layout.row_blocks() * layout.panels() * Layout::kLanes;
  return launch(make_tiles_kernel, dim3(blocks_of(threads)), dim3(kThreads), 0, stream, args);
}
LaunchCode expand_tiles(const ExpandTilesArgs& args, Stream stream) {
  const int64_t threads = args.rows * ((args.columns + 3) / 4);
  return launch(expand_tiles_kernel, dim3(blocks_of(threads)), dim3(kThreads), 0, stream, args);
}
LaunchCode expand_bits(const ExpandBitsArgs& args, Stream stream) {
  return launch(expand_bits_kernel, dim3(blocks_of(args.rows * kWarp)), dim3(kThreads), 0, stream, args);
}
LaunchCode bias(const BiasArgs& args, Stream stream) {
  const dim3 grid = grid_of_rows(args.width, args.tokens);
  if (args.type == Element::f32) return launch(bias_kernel<float>, grid, dim3(kThreads), 0, stream, args);
  return args.type == Element::bf16 ? launch(bias_kernel<Bf16>, grid, dim3(kThreads), 0, stream, args)
                                    : launch(bias_kernel<F16>, grid, dim3(kThreads), 0, stream, args);
}

LaunchCode add_rows(const AddRowsArgs& args, Stream stream) {
  const dim3 grid = grid_of_rows(args.width, args.tokens);
  return args.source_type == Element::bf16 ? launch(add_rows_kernel<Bf16>, grid, dim3(kThreads), 0, stream, args)
                                           : launch(add_rows_kernel<F16>, grid, dim3(kThreads), 0, stream, args);
}

}  // namespace

const LinearPartsKernels& linear_parts_kernels() {
  static const LinearPartsKernels kernels = {make_tiles, expand_tiles, expand_bits, bias, add_rows};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
