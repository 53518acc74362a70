// Attention of many tokens. A block takes 64 rows of one query head, a warp sixteen of them; tiles of 64 keys and
// values come to shared memory one ahead of the arithmetic. The blocks with the longest rows start first.
#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/memory.h"

namespace esparse::cuda::ESPARSE_BACKEND {
namespace {

constexpr int kWarps = 4;
constexpr int kBlockRows = 16 * kWarps;
constexpr int kTileKeys = 64;
constexpr int kThreads = kWarps * kWarp;

// Rows in shared memory are spaced so that the lanes of one access meet different banks: those of keys by the width
// of four lanes' vectors beyond a multiple of 128 bytes, those of values, of which a lane reads every other row, by 16
// beyond a multiple of 32.
template <int kHeadDim>
struct SharedTile {
  static constexpr int kRowBytes = kHeadDim * 2;
  static constexpr int kKeyPart = 8 * HeadTile<kHeadDim>::kKeyRun;  // bytes
  static constexpr int kKeyStride = (kRowBytes + 127 - kKeyPart) / 128 * 128 + kKeyPart;
  static constexpr int kValueStride = (kRowBytes + 31) / 32 * 32 + 16;
  static constexpr int kStageBytes = kTileKeys * (kKeyStride + kValueStride);
  static constexpr int kBytes = 2 * kStageBytes;
  static_assert(kKeyStride >= kRowBytes && kKeyStride % 16 == 0);
};

// Keys [first, first + kTileKeys) on their way to shared memory; of those behind `last`, `last` itself, which has been
// written.
template <typename T, int kHeadDim>
__device__ __forceinline__ void copy_tile(const T* keys, const T* values, int first, int last, std::byte* stage) {
  using Shared = SharedTile<kHeadDim>;
  constexpr int kChunks = Shared::kRowBytes / 16;
  for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * kChunks; i += kThreads) {
    const int key = i / kChunks, chunk = i % kChunks;
    const int64_t source = static_cast<int64_t>(min(first + key, last)) * kHeadDim + chunk * 8;
    copy_async_16(stage + key * Shared::kKeyStride + chunk * 16, keys + source, 16);
    copy_async_16(stage + kTileKeys * Shared::kKeyStride + key * Shared::kValueStride + chunk * 16, values + source,
                  16);
  }
  end_copy_group();
}

// One tile of keys from `first` on, for the rows at `position` and position + 8.
template <typename T, int kHeadDim>
__device__ __forceinline__ void read_tile(const std::byte* stage, int first, int position, int window, float scale,
                                          int g, int t, AttentionWarp<T, kHeadDim>& state) {
  using Shared = SharedTile<kHeadDim>;
  const auto key_row = [&](int key) { return reinterpret_cast<const T*>(stage + key * Shared::kKeyStride); };
  const auto value_row = [&](int key) {
    return reinterpret_cast<const T*>(stage + kTileKeys * Shared::kKeyStride + key * Shared::kValueStride);
  };
  float scores[kTileKeys / 8][4];
  float largest[2] = {-INFINITY, -INFINITY};
  ESPARSE_UNROLL
  for (int eight = 0; eight < kTileKeys / 8; ++eight) {
    state.score(key_row(8 * eight + g), t, scores[eight]);
    ESPARSE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int behind = position + i / 2 * 8 - (first + 8 * eight + 2 * t + i % 2);  // of the key, by tokens
      const bool seen = behind >= 0 && (window == 0 || behind < window);
      scores[eight][i] = seen ? scores[eight][i] * scale : -INFINITY;
      largest[i / 2] = fmaxf(largest[i / 2], scores[eight][i]);
    }
  }
  state.raise(largest[0], largest[1]);
  ESPARSE_UNROLL
  for (int sixteen = 0; sixteen < kTileKeys / 16; ++sixteen) {
    uint32_t p[4];
    state.weigh(scores[2 * sixteen], scores[2 * sixteen + 1], p);
    const int key = 16 * sixteen + 2 * t;
    state.add(p, {value_row(key), value_row(key + 1), value_row(key + 8), value_row(key + 9)}, g);
  }
}

template <typename T, int kHeadDim, typename Out>
__device__ __forceinline__ void store_rows(const AttentionArgs& args, int row, int head, int t,
                                           AttentionWarp<T, kHeadDim>& state) {
  state.finish();
  const auto target = [&](int r) {
    return static_cast<Out*>(args.out) + (static_cast<int64_t>(r) * args.heads + head) * kHeadDim;
  };
  state.for_each_sum(t, [&](int dimension, float sum, float sum_8) {
    if (row < args.rows) from_float(sum / state.total[0], target(row)[dimension]);
    if (row + 8 < args.rows) from_float(sum_8 / state.total[1], target(row + 8)[dimension]);
  });
}

template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kThreads) prefill_kernel(AttentionArgs args) {
  std::byte* shared = dynamic_shared<std::byte>();
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int g = lane / 4, t = lane % 4, head = static_cast<int>(blockIdx.y);
  const int first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kBlockRows, row = first_row + 16 * warp + g;
  const int start = args.positions[0], last_row = min(first_row + kBlockRows, args.rows) - 1;
  const int64_t kv_place = head / (args.heads / args.kv_heads) * args.capacity * kHeadDim;
  const T *keys = static_cast<const T*>(args.keys) + kv_place, *values = static_cast<const T*>(args.values) + kv_place;
  const auto query = [&](int r) {
    return static_cast<const T*>(args.q) + (static_cast<int64_t>(min(r, args.rows - 1)) * args.heads + head) * kHeadDim;
  };
  AttentionWarp<T, kHeadDim> state;
  state.start(query(row), query(row + 8), t);

  // Tiles that some row of this block sees; `last` is the newest key that any of them does.
  const int last = start + last_row, seen_from = args.window > 0 ? max(0, start + first_row - args.window + 1) : 0;
  const int tile_end = last / kTileKeys + 1;
  int tile = seen_from / kTileKeys;
  copy_tile<T, kHeadDim>(keys, values, tile * kTileKeys, last, shared);
  for (int stage = 0; tile < tile_end; ++tile, stage ^= 1) {
    wait_for_copy_groups<0>();
    __syncthreads();  // this tile is here, and the one before has been read by all
    if (tile + 1 < tile_end)
      copy_tile<T, kHeadDim>(keys, values, (tile + 1) * kTileKeys, last,
                             shared + (stage ^ 1) * SharedTile<kHeadDim>::kStageBytes);
    if (tile * kTileKeys <= start + first_row + 16 * warp + 15)  // a key that some row of this warp sees
      read_tile<T, kHeadDim>(shared + stage * SharedTile<kHeadDim>::kStageBytes, tile * kTileKeys, start + row,
                             args.window, args.scale * kLog2E, g, t, state);
  }
  if (args.out_type == Element::bf16)
    store_rows<T, kHeadDim, Bf16>(args, row, head, t, state);
  else
    store_rows<T, kHeadDim, F16>(args, row, head, t, state);
}

template <typename T, int kHeadDim>
LaunchCode prefill_with(const AttentionArgs& args, Stream stream) {
  const dim3 grid(static_cast<unsigned>((args.rows + kBlockRows - 1) / kBlockRows), static_cast<unsigned>(args.heads));
  return launch(prefill_kernel<T, kHeadDim>, grid, dim3(kThreads), SharedTile<kHeadDim>::kBytes, stream, args);
}

template <typename T>
LaunchCode prefill_of(const AttentionArgs& args, Stream stream) {
  switch (args.head_dim) {
    case 64:
      return prefill_with<T, 64>(args, stream);
    case 80:
      return prefill_with<T, 80>(args, stream);
    case 96:
      return prefill_with<T, 96>(args, stream);
    default:
      return prefill_with<T, 128>(args, stream);
  }
}

}  // namespace

LaunchCode attention_prefill(const AttentionArgs& args, Stream stream) {
  return args.type == Element::bf16 ? prefill_of<Bf16>(args, stream) : prefill_of<F16>(args, stream);
}

}  // namespace esparse::cuda::ESPARSE_BACKEND
