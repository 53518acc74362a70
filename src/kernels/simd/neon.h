// Vectors of four f32 in AArch64's NEON; the operations are described in avx2.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace esparse::simd {

struct Neon {
  static constexpr int kLanes = 4;
  static constexpr bool kHasPairs = false;
  using F = float32x4_t;
  using I = uint32x4_t;

  static F zero() { return vdupq_n_f32(0.0f); }
  static F broadcast(float value) { return vdupq_n_f32(value); }
  static F load(const void* p) { return vreinterpretq_f32_u8(vld1q_u8(static_cast<const uint8_t*>(p))); }
  static void store(float* p, F v) { vst1q_f32(p, v); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // b where one is NaN, as on x86
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static float sum(F v) {
    const float32x2_t pair = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
  }

  static F load_bf16(const void* p) { return vreinterpretq_f32_u32(vshll_n_u16(load_halves(p), 16)); }
  static F load_f16(const void* p) { return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p))); }

  static I load_words(const void* p) { return vreinterpretq_u32_u8(vld1q_u8(static_cast<const uint8_t*>(p))); }
  template <int count>
  static I shift_right(I v) {
    if constexpr (count == 0) return v;  // the instruction knows 1 ... 32
    if constexpr (count != 0) return vshrq_n_u32(v, count);
  }
  static F bf16_low(I v) { return vreinterpretq_f32_u32(vshlq_n_u32(v, 16)); }
  static F bf16_high(I v) { return vreinterpretq_f32_u32(vandq_u32(v, vdupq_n_u32(0xffff0000u))); }

  static F broadcast4(const float* p) { return vld1q_f32(p); }
  // A look-up of bytes: those of lane k are 4k ... 4k + 3.
  static F select4(F v, I index) {
    const uint32x4_t first_byte = vmulq_n_u32(vandq_u32(index, vdupq_n_u32(3)), 0x04040404u);
    const uint32x4_t bytes = vaddq_u32(first_byte, vdupq_n_u32(0x03020100u));
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), vreinterpretq_u8_u32(bytes)));
  }

  static void prefetch(const void* p) { __builtin_prefetch(p); }

 private:
  static uint16x4_t load_halves(const void* p) { return vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(p))); }
};

}  // namespace esparse::simd
