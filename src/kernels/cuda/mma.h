// Matrix instructions of a warp, sums in f32. Fragment layouts are those of the PTX ISA, section "Matrix
// multiply-accumulate operation using mma"; the emulated ones below are written from that text, element by element.
//
// mma_16x8x16: d [16, 8] += a [16, 16] b [16, 8]. With g = lane / 4, t = lane % 4 a lane holds
//   a[0] (g, 2t .. 2t+1)  a[1] (g + 8, 2t ..)  a[2] (g, 2t + 8 ..)  a[3] (g + 8, 2t + 8 ..)   pairs along k, low half
//   first b[0] (2t .. 2t+1, g)  b[1] (2t + 8 .., g)                                                 pairs along k,
//   column g d[0] (g, 2t)  d[1] (g, 2t + 1)  d[2] (g + 8, 2t)  d[3] (g + 8, 2t + 1)
//
// mma_sp_16x8x32: d [16, 8] += a [16, 32] b [32, 8], of each four neighbours along k in a row of a two are kept. The
// kept ones, 16 a row, stand in a[] as the 16 x 16 matrix above; b[i] (2t + 8i .. 2t + 8i + 1, g). Metadata has four
// bits for each four columns, i0 | i1 << 2 with i0 < i1 (what ordered_metadata asks for): the lanes 2 * selector + p,
// p = 0, 1, of each group of four hold columns 16p .. 16p + 15, of row g in the low half, of row g + 8 in the high one;
// what the other lanes hold does not matter. Three sources agree on that: the figure of the PTX ISA ("Matrix fragments
// for sparse mma.m16n8k32 with .f16 and .bf16 types") as LLVM's test on hardware reads it
// (sparse-mma-2-4-f16.mlir), reorder_meta() of CUTLASS (host_reorder.h), and TileLang's metadata layouts.
#pragma once

#include <type_traits>

#include "kernels/cuda/elements.h"

#ifndef __CUDACC__
#include "base/status.h"
#endif

namespace esparse::cuda::ESPARSE_BACKEND {

#if defined(__CUDACC__) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800

// Compiled for older GPUs as well, where nobody calls them: callers ask for compute capability 8.0 first.
template <typename T>
__device__ __forceinline__ void mma_16x8x16(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) {
  __trap();
}
template <typename T, int selector>
__device__ __forceinline__ void mma_sp_16x8x32(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[4], uint32_t) {
  __trap();
}

#elif defined(__CUDACC__)

template <typename T>
__device__ __forceinline__ void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, Bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <typename T, int selector>
__device__ __forceinline__ void mma_sp_16x8x32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4],
                                               uint32_t metadata) {
  static_assert(selector == 0 || selector == 1);
  if constexpr (std::is_same_v<T, Bf16>)
    asm volatile(
        "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, %13;"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(metadata),
          "n"(selector));
  else
    asm volatile(
        "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, %13;"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(metadata),
          "n"(selector));
}

#else

// Element `half` (0 low, 1 high) of a register.
template <typename T>
float half_of(uint32_t pair, int half) {
  return to_float(T{static_cast<uint16_t>(half == 0 ? pair & 0xffff : pair >> 16)});
}

struct MmaSlot {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
  uint32_t metadata;
};

template <typename T>
void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaSlot mine{d, a, b, 0};
  meet_in_warp(0xffffffffu, &mine, "mma_16x8x16", [](void* const* slots) {
    auto slot = [&](int lane) -> const MmaSlot& { return *static_cast<const MmaSlot*>(slots[lane]); };
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        float sum = 0;
        for (int k = 0; k < 16; ++k) {
          const MmaSlot& of_a = slot(row % 8 * 4 + k % 8 / 2);
          const MmaSlot& of_b = slot(column * 4 + k % 8 / 2);
          sum += half_of<T>(of_a.a[row / 8 + k / 8 * 2], k % 2) * half_of<T>(of_b.b[k / 8], k % 2);
        }
        slot(row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2] += sum;
      }
  });
}

template <typename T, int selector>
void mma_sp_16x8x32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4], uint32_t metadata) {
  MmaSlot mine{d, a, b, metadata};
  meet_in_warp(0xffffffffu, &mine, "mma_sp_16x8x32", [](void* const* slots) {
    auto slot = [&](int lane) -> const MmaSlot& { return *static_cast<const MmaSlot*>(slots[lane]); };
    for (int row = 0; row < 16; ++row)
      for (int group = 0; group < 8; ++group) {
        const uint32_t halves = slot(row % 8 * 4 + selector * 2 + group / 4).metadata;
        const uint32_t code = halves >> (row / 8 * 16 + group % 4 * 4) & 15;
        const int places[2] = {static_cast<int>(code & 3), static_cast<int>(code >> 2)};
        ESPARSE_CHECK(places[0] < places[1]);  // undefined on hardware
        for (int j = 0; j < 2; ++j) {
          const int kept = 2 * group + j, k = 4 * group + places[j];
          const float of_a = half_of<T>(slot(row % 8 * 4 + kept % 8 / 2).a[row / 8 + kept / 8 * 2], kept % 2);
          for (int column = 0; column < 8; ++column)
            slot(row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2] +=
                of_a * half_of<T>(slot(column * 4 + k % 8 / 2).b[k / 8], k % 2);
        }
      }
  });
}

#endif

}  // namespace esparse::cuda::ESPARSE_BACKEND
