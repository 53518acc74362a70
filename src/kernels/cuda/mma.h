// Matrix instructions of a warp, sums in f32. Fragment layouts are those of the PTX ISA, section "Matrix
// multiply-accumulate operation using mma"; the emulated ones below are written from that text, element by element.
//
// mma_16x8x16: d [16, 8] += a [16, 16] b [16, 8]. With g = lane / 4, t = lane % 4 a lane holds
//   a[0] (g, 2t .. 2t+1)  a[1] (g + 8, 2t ..)  a[2] (g, 2t + 8 ..)  a[3] (g + 8, 2t + 8 ..)   pairs along k, low half
//   first b[0] (2t .. 2t+1, g)  b[1] (2t + 8 .., g)                                                 pairs along k,
//   column g d[0] (g, 2t)  d[1] (g, 2t + 1)  d[2] (g + 8, 2t)  d[3] (g + 8, 2t + 1)
#pragma once

#include <type_traits>

#include "kernels/cuda/elements.h"

namespace esparse::cuda::ESPARSE_BACKEND {

#ifdef __CUDACC__

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
};

template <typename T>
void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaSlot mine{d, a, b};
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

#endif

}  // namespace esparse::cuda::ESPARSE_BACKEND
