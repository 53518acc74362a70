// A warp has two rows and passes over them 512 columns at a time. Their values come to shared memory by 16-byte copies
// while the chunk before is multiplied; a lane takes pairs of neighbouring columns, and finds its values by counting
// the bits before them. x is read through L1, which both rows share.
#include "kernels/cuda/few_bits.h"

#include "kernels/cuda/families.h"
#include "kernels/cuda/linear_epilogue.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/reduce.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kWarps = 8, kRows = 2;               // of a block; of a warp
constexpr int kChunk = 512, kWords = kChunk / 32;  // columns, words of the bitmask
constexpr int kBufferBytes = kChunk * 2 + 16;      // values of a chunk from any alignment

// One row on its way: what is known of the chunk being multiplied, and of the next one.
struct Row {
  const uint8_t* bits;
  int64_t next_value;     // first value of the chunk after the next
  uint32_t word, before;  // of lane i: word i of the bitmask, and how many bits are set in the words before
  int shift;              // of the first value in its buffer
  uint32_t next_word, next_before;
  int next_shift;
  uint32_t later_word;  // of the chunk after the next: its load takes as long as one chunk's work
};

// Word `lane` of a chunk's bitmask; 0 beyond the row.
__device__ __forceinline__ uint32_t load_word(const uint8_t* bits, int64_t row_bytes, int chunk, int lane) {
  const int64_t first = static_cast<int64_t>(chunk) * (kChunk / 8) + lane * 4;
  if (lane >= kWords || first >= row_bytes) return 0;
  if (row_bytes % 4 == 0) return *reinterpret_cast<const uint32_t*>(bits + first);
  uint32_t word = 0;
  for (int i = 0; i < 4 && first + i < row_bytes; ++i) word |= static_cast<uint32_t>(bits[first + i]) << (8 * i);
  return word;
}

// Sets out to copy the values of a chunk whose bitmask is row.next_word.
__device__ __forceinline__ void start_chunk(const BitRows& weight, Row& row, unsigned char* buffer, int lane) {
  const int count = __popc(row.next_word);
  int up_to = count;
  for (int step = 1; step < kWords; step *= 2) {
    const int below = __shfl_up_sync(0xffffffffu, up_to, step);
    if (lane >= step) up_to += below;
  }
  row.next_before = static_cast<uint32_t>(up_to - count);
  const int total = __shfl_sync(0xffffffffu, up_to, kWords - 1);
  row.next_shift = static_cast<int>(row.next_value % 8);
  const auto* source = reinterpret_cast<const unsigned char*>(weight.values + (row.next_value - row.next_shift));
  const int bytes = (row.next_shift + total) * 2;
  if (total > 0)
    for (int place = lane * 16; place < bytes; place += kWarp * 16) copy_async_16(buffer + place, source + place, 16);
  row.next_value += total;
}

// Columns `column` and the next of a row of x; zeros beyond the end.
template <typename T>
__device__ __forceinline__ float2 load_pair(const uint16_t* x, int64_t column, int64_t columns, bool aligned) {
  if (aligned && column + 1 < columns) {
    const uint32_t pair = *reinterpret_cast<const uint32_t*>(x + column);
    return {to_float(T{static_cast<uint16_t>(pair)}), to_float(T{static_cast<uint16_t>(pair >> 16)})};
  }
  return {column < columns ? to_float(T{x[column]}) : 0.0f, column + 1 < columns ? to_float(T{x[column + 1]}) : 0.0f};
}

template <typename T, int tokens>
struct Sums {
  float of[kRows][tokens];
};

template <typename T, int tokens>
__device__ __forceinline__ void multiply_chunk(const FewBitsArgs& args, const Row (&rows)[kRows], int chunk,
                                               const unsigned char* buffers, int lane, Sums<T, tokens>& sums) {
  const auto* x = static_cast<const uint16_t*>(args.x);
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 4 == 0 && args.x_stride % 2 == 0;
  const int bit = lane % 16 * 2;
  for (int step = 0; step < kChunk / 64; ++step) {
    const int64_t column = static_cast<int64_t>(chunk) * kChunk + step * 64 + 2 * lane;
    float low[kRows], high[kRows];
    ESPARSE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int holder = 2 * step + lane / 16;
      const uint32_t word = __shfl_sync(0xffffffffu, rows[r].word, holder);
      const uint32_t before = __shfl_sync(0xffffffffu, rows[r].before, holder);
      const auto* values = reinterpret_cast<const uint16_t*>(buffers + r * kBufferBytes) + rows[r].shift + before +
                           __popc(word & ((1u << bit) - 1));
      const bool first = (word >> bit & 1) != 0, second = (word >> bit & 2) != 0;
      low[r] = first ? to_float(T{values[0]}) : 0.0f;
      high[r] = second ? to_float(T{values[first ? 1 : 0]}) : 0.0f;
    }
    ESPARSE_UNROLL
    for (int t = 0; t < tokens; ++t) {
      if (t >= args.tokens) break;
      const float2 pair = load_pair<T>(x + t * args.x_stride, column, args.weight.columns, aligned);
      ESPARSE_UNROLL
      for (int r = 0; r < kRows; ++r)
        sums.of[r][t] = __fmaf_rn(high[r], pair.y, __fmaf_rn(low[r], pair.x, sums.of[r][t]));
    }
  }
}

template <typename T, int tokens>
__global__ void __launch_bounds__(kWarps* kWarp) few_bits_kernel(FewBitsArgs args) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t first_row = (static_cast<int64_t>(blockIdx.x) * kWarps + warp) * kRows;
  let_next_kernel_start();
  if (first_row >= args.weight.rows) return;
  const int64_t row_bytes = (args.weight.columns + 7) / 8;
  const int chunks = static_cast<int>((args.weight.columns + kChunk - 1) / kChunk);
  unsigned char* buffers = dynamic_shared<unsigned char>() + warp * (2 * kRows * kBufferBytes);
  Row rows[kRows];
  ESPARSE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = first_row + r < args.weight.rows ? first_row + r : first_row;
    rows[r].bits = args.weight.bitmask + row * row_bytes;
    rows[r].next_value =
        args.weight.row_offsets != nullptr ? args.weight.row_offsets[row] : row * args.weight.kept_per_row;
    rows[r].next_word = load_word(rows[r].bits, row_bytes, 0, lane);
    rows[r].later_word = load_word(rows[r].bits, row_bytes, 1, lane);
    start_chunk(args.weight, rows[r], buffers + r * kBufferBytes, lane);
  }
  end_copy_group();
  wait_for_kernels_before();
  Sums<T, tokens> sums = {};
  for (int chunk = 0; chunk < chunks; ++chunk) {
    unsigned char* here = buffers + chunk % 2 * kRows * kBufferBytes;
    unsigned char* there = buffers + (chunk + 1) % 2 * kRows * kBufferBytes;
    ESPARSE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      rows[r].word = rows[r].next_word, rows[r].before = rows[r].next_before, rows[r].shift = rows[r].next_shift;
      rows[r].next_word = rows[r].later_word;
      rows[r].later_word = load_word(rows[r].bits, row_bytes, chunk + 2, lane);
      start_chunk(args.weight, rows[r], there + r * kBufferBytes, lane);
    }
    end_copy_group();
    wait_for_copy_groups<1>();
    __syncwarp();
    multiply_chunk<T, tokens>(args, rows, chunk, here, lane, sums);
    __syncwarp();
  }
  const Epilogue epilogue{args.bias, args.y, args.y_stride, args.y_type, args.add};
  ESPARSE_UNROLL
  for (int r = 0; r < kRows; ++r) ESPARSE_UNROLL
  for (int t = 0; t < tokens; ++t) {
    const float sum = warp_sum(sums.of[r][t]);
    if (lane == (r * tokens + t) % kWarp && t < args.tokens && first_row + r < args.weight.rows)
      epilogue.template store<T>(t, first_row + r, sum);
  }
}

template <typename T, int tokens>
LaunchCode run(const FewBitsArgs& args, Stream stream) {
  constexpr int kBlockRows = kWarps * kRows;
  return launch_early(few_bits_kernel<T, tokens>,
                      dim3(static_cast<unsigned>((args.weight.rows + kBlockRows - 1) / kBlockRows)),
                      dim3(kWarps * kWarp), kWarps * 2 * kRows * kBufferBytes, stream, args, args.early);
}
template <typename T>
LaunchCode run_of_type(const FewBitsArgs& args, Stream stream) {
  if (args.tokens == 1) return run<T, 1>(args, stream);
  if (args.tokens <= 4) return run<T, 4>(args, stream);
  return args.tokens <= 8 ? run<T, 8>(args, stream) : run<T, 16>(args, stream);
}

LaunchCode few(const FewBitsArgs& args, Stream stream) {
  return args.type == Element::bf16 ? run_of_type<Bf16>(args, stream) : run_of_type<F16>(args, stream);
}

}  // namespace

const FewBitsKernels& few_bits_kernels() {
  static const FewBitsKernels kernels = {few};
  return kernels;
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
