// Vectors of sixteen f32 in AVX-512; the operations are described in avx2.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace esparse::simd {

struct Avx512 {  // F, BW, DQ, VL
  static constexpr int kLanes = 16;
  static constexpr bool kHasPairs = false;
  using F = __m512;
  using I = __m512i;

  static F zero() { return _mm512_setzero_ps(); }
  static F broadcast(float value) { return _mm512_set1_ps(value); }
  static F load(const void* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static float sum(F v) { return _mm512_reduce_add_ps(v); }

  static F load_bf16(const void* p) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
  }
  static F load_f16(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }

  static I load_words(const void* p) { return _mm512_loadu_si512(p); }
  template <int count>
  static I shift_right(I v) {
    return _mm512_srli_epi32(v, count);
  }
  static F bf16_low(I v) { return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16)); }
  static F bf16_high(I v) { return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(-65536))); }

  static F broadcast4(const float* p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
  static F select4(F v, I index) { return _mm512_permutevar_ps(v, index); }

  static F expand_bf16(const void* values, uint32_t mask) {
    return _mm512_maskz_expand_ps(static_cast<__mmask16>(mask), load_bf16(values));
  }
  static F expand_f16(const void* values, uint32_t mask) {
    return _mm512_maskz_expand_ps(static_cast<__mmask16>(mask), load_f16(values));
  }
  static F expand_f32(const void* values, uint32_t mask) {
    return _mm512_maskz_expand_ps(static_cast<__mmask16>(mask), load(values));
  }

  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
};

struct Avx512Bf16 : Avx512 {  // and BF16, VBMI, VBMI2
  static constexpr bool kHasPairs = true;
  // Every u32 of a and b holds two bf16: c + a.low * b.low + a.high * b.high (the products are not rounded; subnormal
  // inputs and results count as zero).
  static F dot_pairs(F c, I a, I b) {
    return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  static I broadcast_word(uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
  // Two columns a lane, 2 * kLanes bits of mask: lane i has column 2i in its low half, 2i + 1 in its high half. Three
  // operations of the shuffling port for 32 columns; widening first and expanding f32 takes four for 16.
  static I expand_bf16_pairs(const void* values, uint32_t mask) {
    return _mm512_maskz_expand_epi16(mask, _mm512_loadu_si512(values));
  }
};

}  // namespace esparse::simd
