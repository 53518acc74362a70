// Runs CUDA kernels on the CPU: every thread of a block is a fiber, which runs until it waits for others (a barrier, a
// shuffle, a matrix instruction). Blocks follow one another. Slow, exact in what it checks: threads that wait for
// each other in vain end the program with a message, and memory is the host's, so that the address sanitizer sees every
// access out of bounds.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>

#include "base/dtype.h"
#include "kernels/cuda/launch_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
// Fibers of a block share the operating system's thread, and no other block runs meanwhile.
#define __shared__ static thread_local

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_in = 1, unsigned y_in = 1, unsigned z_in = 1) : x(x_in), y(y_in), z(z_in) {}
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

namespace esparse::cuda::emulated {

// Where the running fiber is.
inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

// Runs body() once for every thread of every block. Threads of a block in rounds, each until it waits.
void run_grid(dim3 grid, dim3 block, int64_t shared_bytes, const std::function<void()>& body);
std::byte* dynamic_shared_bytes();

// Waits until all threads of the block have come here.
void __syncthreads();
// The lanes of `mask` meet: the last one runs complete(slots), slots[lane] being what each brought; then all go on.
// `operation` names it where lanes wait in vain.
void meet_in_warp(unsigned mask, void* slot, std::string_view operation,
                  const std::function<void(void* const*)>& complete);
int lane_index();
// A copy that happens when its thread waits for it, as late as CUDA allows: `bytes` from source, then zeros up to
// `whole`.
void copy_later(void* target, const void* source, int bytes, int whole);
void end_copy_group();
// Until at most `groups_left` groups of this thread's copies are still on their way.
void wait_for_copies(int groups_left);

template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(dynamic_shared_bytes());
}

template <typename Args>
LaunchCode launch(void (*kernel)(Args), dim3 grid, dim3 block, int64_t shared_bytes, Stream, const Args& args) {
  run_grid(grid, block, shared_bytes, [&] { kernel(args); });
  return 0;
}

template <typename Args>
LaunchCode launch_early(void (*kernel)(Args), dim3 grid, dim3 block, int64_t shared_bytes, Stream stream,
                        const Args& args, bool) {
  return launch(kernel, grid, block, shared_bytes, stream, args);
}

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  meet_in_warp(mask, nullptr, "__syncwarp", [](void* const*) {});
}

// Every lane gets the value of lane source(lane); of itself where that lies outside the mask.
template <typename T, typename Source>
T exchange(unsigned mask, T value, std::string_view operation, const Source& source) {
  struct Slot {
    T given, taken;
  } mine{value, value};
  meet_in_warp(mask, &mine, operation, [&](void* const* slots) {
    for (int lane = 0; lane < 32; ++lane) {
      if (slots[lane] == nullptr) continue;
      const int from = source(lane);
      if (from >= 0 && from < 32 && slots[from] != nullptr)
        static_cast<Slot*>(slots[lane])->taken = static_cast<Slot*>(slots[from])->given;
    }
  });
  return mine.taken;
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  return exchange(mask, value, "__shfl_xor_sync",
                  [=](int lane) { return (lane ^ lanes) / width == lane / width ? lane ^ lanes : lane; });
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, int lanes, int width = 32) {
  return exchange(mask, value, "__shfl_down_sync",
                  [=](int lane) { return (lane + lanes) / width == lane / width ? lane + lanes : lane; });
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, int lanes, int width = 32) {
  return exchange(mask, value, "__shfl_up_sync", [=](int lane) { return lane % width >= lanes ? lane - lanes : lane; });
}
// The source lane may differ from lane to lane, so each brings it along.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  struct Slot {
    T given, taken;
    int source;
  } mine{value, value, source};
  meet_in_warp(mask, &mine, "__shfl_sync", [&](void* const* slots) {
    for (int lane = 0; lane < 32; ++lane) {
      if (slots[lane] == nullptr) continue;
      Slot& slot = *static_cast<Slot*>(slots[lane]);
      const int from = lane / width * width + slot.source % width;
      if (slots[from] != nullptr) slot.taken = static_cast<Slot*>(slots[from])->given;
    }
  });
  return mine.taken;
}
inline unsigned __ballot_sync(unsigned mask, bool predicate) {
  struct Slot {
    bool given;
    unsigned taken;
  } mine{predicate, 0};
  meet_in_warp(mask, &mine, "__ballot_sync", [](void* const* slots) {
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane)
      if (slots[lane] != nullptr && static_cast<Slot*>(slots[lane])->given) votes |= 1u << lane;
    for (int lane = 0; lane < 32; ++lane)
      if (slots[lane] != nullptr) static_cast<Slot*>(slots[lane])->taken = votes;
  });
  return mine.taken;
}

// Arithmetic that CUDA has and C++ calls by another name.
using std::max;
using std::min;
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline uint32_t __float_as_uint(float x) { return std::bit_cast<uint32_t>(x); }
inline float __uint_as_float(uint32_t x) { return std::bit_cast<float>(x); }
// Byte i of the result is byte (selector nibble i) of the eight bytes {high, low}.
inline uint32_t __byte_perm(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(high) << 32 | low;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t which = (selector >> (4 * i)) & 7;
    result |= static_cast<uint32_t>((bytes >> (8 * which)) & 0xff) << (8 * i);
  }
  return result;
}
template <typename T>
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldcs(const T* address) {
  return *address;
}

template <typename T>
T __ldcg(const T* address) {
  return *address;
}
inline void __threadfence() {}

// No two fibers run at the same time.
template <typename T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address = before + value;
  return before;
}
template <typename T>
T atomicMax(T* address, T value) {
  const T before = *address;
  *address = std::max(before, value);
  return before;
}

}  // namespace esparse::cuda::emulated
