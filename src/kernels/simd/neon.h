// Vectors of four f32 in AArch64's NEON; the operations are described in avx2.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace esparse::simd {

// How four bits of a bitmask spread values over four columns: per mask the look-up of bytes that puts the next value
// where a bit is set, and an index beyond the register (zero) elsewhere.
struct NeonExpandTable {
  alignas(16) uint8_t bf16[16][16];  // into the high half of every lane
  alignas(16) uint8_t f16[16][8];
  alignas(16) uint8_t f32[16][16];
};
constexpr NeonExpandTable make_neon_expand_table() {
  NeonExpandTable table{};
  for (int mask = 0; mask < 16; ++mask) {
    int slot = 0;
    for (int column = 0; column < 4; ++column) {
      const bool kept = (mask >> column & 1) != 0;
      for (int byte = 0; byte < 4; ++byte)
        table.f32[mask][4 * column + byte] = static_cast<uint8_t>(kept ? 4 * slot + byte : 255);
      for (int byte = 0; byte < 2; ++byte) {
        const auto from = static_cast<uint8_t>(kept ? 2 * slot + byte : 255);
        table.f16[mask][2 * column + byte] = table.bf16[mask][4 * column + 2 + byte] = from;
        table.bf16[mask][4 * column + byte] = 255;
      }
      slot += kept ? 1 : 0;
    }
  }
  return table;
}
inline constexpr NeonExpandTable kNeonExpand = make_neon_expand_table();

struct Neon {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 32;
  static constexpr bool kHasPairs = false;
  using F = float32x4_t;
  using I = uint32x4_t;

  static F zero() { return vdupq_n_f32(0.0f); }
  static F broadcast(float value) { return vdupq_n_f32(value); }
  static F load(const void* p) { return vreinterpretq_f32_u8(vld1q_u8(static_cast<const uint8_t*>(p))); }
  static void store(float* p, F v) { vst1q_f32(p, v); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // b where one is NaN, as on x86
  static F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static float sum(F v) {
    const float32x2_t pair = add_halves(v);
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
  }
  static void sum4(F a, F b, F c, F d, float* target) {
    const float32x2_t ab = vpadd_f32(add_halves(a), add_halves(b)), cd = vpadd_f32(add_halves(c), add_halves(d));
    vst1q_f32(target, vcombine_f32(ab, cd));
  }
  static float max_lane(F v) { return vmaxvq_f32(v); }
  static F power_of_two(F v) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vaddq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(127)), 23));
  }

  static F load_bf16(const void* p) { return vreinterpretq_f32_u32(vshll_n_u16(load_halves(p), 16)); }
  static F load_f16(const void* p) { return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p))); }
  static void store_f16(void* p, F v) { store_halves(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
  static void store_bf16(void* p, F v) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v), high = vshrq_n_u32(bits, 16);
    const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
    const uint32x4_t is_number = vceqq_f32(v, v);
    store_halves(p, vmovn_u32(vbslq_u32(is_number, rounded, vorrq_u32(high, vdupq_n_u32(0x40)))));
  }

  static F expand_bf16(const void* values, uint32_t mask) {
    const uint16x8_t stored = vcombine_u16(load_halves(values), vdup_n_u16(0));
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_u16(stored), vld1q_u8(kNeonExpand.bf16[mask])));
  }
  static F expand_f16(const void* values, uint32_t mask) {
    const uint16x8_t stored = vcombine_u16(load_halves(values), vdup_n_u16(0));
    return vcvt_f32_f16(vreinterpret_f16_u8(vqtbl1_u8(vreinterpretq_u8_u16(stored), vld1_u8(kNeonExpand.f16[mask]))));
  }
  static F expand_f32(const void* values, uint32_t mask) {
    const uint8x16_t stored = vld1q_u8(static_cast<const uint8_t*>(values));
    return vreinterpretq_f32_u8(vqtbl1q_u8(stored, vld1q_u8(kNeonExpand.f32[mask])));
  }

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
  static I selector4(I index) {
    const uint32x4_t first_byte = vmulq_n_u32(vandq_u32(index, vdupq_n_u32(3)), 0x04040404u);
    return vaddq_u32(first_byte, vdupq_n_u32(0x03020100u));
  }
  static F select4_by(F v, I selector) {
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), vreinterpretq_u8_u32(selector)));
  }
  static F select4(F v, I index) { return select4_by(v, selector4(index)); }

  static I as_words(F v) { return vreinterpretq_u32_f32(v); }
  static I add_words(I a, I b) { return vaddq_u32(a, b); }
  static I broadcast_word(uint32_t value) { return vdupq_n_u32(value); }
  static void store_words(uint32_t* p, I v) { vst1q_u32(p, v); }
  static void store_scaled_bytes(uint32_t* p, uint64_t bytes, uint32_t scale, uint32_t base) {
    const uint16x8_t halves = vmovl_u8(vcreate_u8(bytes));
    vst1q_u32(p, vmlaq_n_u32(vdupq_n_u32(base), vmovl_u16(vget_low_u16(halves)), scale));
    vst1q_u32(p + 4, vmlaq_n_u32(vdupq_n_u32(base), vmovl_u16(vget_high_u16(halves)), scale));
  }
  static void transpose(F (&rows)[kLanes]) {
    const float32x4x2_t even = vzipq_f32(rows[0], rows[2]), odd = vzipq_f32(rows[1], rows[3]);
    const float32x4x2_t low = vzipq_f32(even.val[0], odd.val[0]), high = vzipq_f32(even.val[1], odd.val[1]);
    rows[0] = low.val[0], rows[1] = low.val[1], rows[2] = high.val[0], rows[3] = high.val[1];
  }

  static void prefetch(const void* p) { __builtin_prefetch(p); }
  static void prefetch_second_level(const void* p) { __builtin_prefetch(p, 0, 2); }

 private:
  static uint16x4_t load_halves(const void* p) { return vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(p))); }
  static void store_halves(void* p, uint16x4_t v) { vst1_u8(static_cast<uint8_t*>(p), vreinterpret_u8_u16(v)); }
  static float32x2_t add_halves(F v) { return vadd_f32(vget_low_f32(v), vget_high_f32(v)); }
};

}  // namespace esparse::simd
