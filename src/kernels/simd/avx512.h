// Vectors of sixteen f32 in AVX-512; the operations are described in avx2.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace esparse::simd {

struct Avx512 {  // F, BW, DQ, VL
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
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

  static I selector4(I index) { return index; }
  static F select4_by(F v, I selector) { return select4(v, selector); }
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

  static void prefetch_second_level(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
  static I as_words(F v) { return _mm512_castps_si512(v); }
  static I add_words(I a, I b) { return _mm512_add_epi32(a, b); }
  static I broadcast_word(uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
  static void store_words(uint32_t* p, I v) { _mm512_storeu_si512(p, v); }
  static void store_scaled_bytes(uint32_t* p, uint64_t bytes, uint32_t scale, uint32_t base) {
    const __m256i words = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
    const __m256i scaled = _mm256_mullo_epi32(words, _mm256_set1_epi32(static_cast<int>(scale)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm256_add_epi32(scaled, _mm256_set1_epi32(static_cast<int>(base))));
  }
  static void transpose(F (&rows)[kLanes]) {
    F pairs[kLanes], quads[kLanes], halves[kLanes];
    for (int i = 0; i < 16; i += 2) {
      pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    // quads[4a + c], part p: column 4p + c of the rows 4a ... 4a + 3.
    for (int i = 0; i < 16; i += 4)
      for (int k = 0; k < 2; ++k) {
        quads[i + 2 * k] = _mm512_shuffle_ps(pairs[i + k], pairs[i + 2 + k], 0x44);
        quads[i + 2 * k + 1] = _mm512_shuffle_ps(pairs[i + k], pairs[i + 2 + k], 0xee);
      }
    for (int c = 0; c < 4; ++c) {
      halves[c] = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0x88);           // columns c, 8 + c of the rows 0 ... 7
      halves[4 + c] = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0xdd);       // columns 4 + c, 12 + c
      halves[8 + c] = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0x88);  // of the rows 8 ... 15
      halves[12 + c] = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0xdd);
    }
    for (int c = 0; c < 8; ++c) {
      rows[c] = _mm512_shuffle_f32x4(halves[c], halves[8 + c], 0x88);
      rows[8 + c] = _mm512_shuffle_f32x4(halves[c], halves[8 + c], 0xdd);
    }
  }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static void sum4(F a, F b, F c, F d, float* target) {
    const __m256 ab = add_halves(halves(a), halves(b)), cd = add_halves(halves(c), halves(d));
    const __m256 pairs = _mm256_add_ps(_mm256_unpacklo_ps(ab, cd), _mm256_unpackhi_ps(ab, cd));
    const __m256 sums = _mm256_add_ps(pairs, _mm256_permute_ps(pairs, 0x4e));
    _mm_storeu_ps(target, _mm_unpacklo_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
  }
  static float max_lane(F v) { return _mm512_reduce_max_ps(v); }
  static F power_of_two(F v) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(v), _mm512_set1_epi32(127)), 23));
  }
  static void store_f16(void* p, F v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_bf16(void* p, F v) {
    const __m512i bits = _mm512_castps_si512(v), high = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i words =
        _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), high, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(words));
  }

 private:
  static __m256 halves(F v) { return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)); }
  static __m256 add_halves(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }
};

struct Avx512Bf16 : Avx512 {  // and BF16, VBMI, VBMI2
  static constexpr bool kHasPairs = true;
  // Every u32 of a and b holds two bf16: c + a.low * b.low + a.high * b.high (the products are not rounded; subnormal
  // inputs and results count as zero).
  static F dot_pairs(F c, I a, I b) {
    return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  // The eight bytes at p, unaligned, in every two lanes.
  static I broadcast8(const void* p) {
    return _mm512_broadcastq_epi64(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  // Byte k of every 16 = byte (control[k] & 15) of these 16; the controls are below 128.
  static I shuffle_bytes(I v, I control) { return _mm512_shuffle_epi8(v, control); }
  // The sixteen bytes at p, unaligned, in every four lanes.
  static I broadcast16(const void* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  // Every byte (below 128) replaced by that of the table.
  static I lookup_bytes(const uint8_t* table, I bytes) {
    return _mm512_permutex2var_epi8(_mm512_loadu_si512(table), bytes, _mm512_loadu_si512(table + 64));
  }
  // Of every sixteen bytes of a and b, bytes or halves of words by turns: those of the lower or the upper eight.
  static I zip_bytes_low(I a, I b) { return _mm512_unpacklo_epi8(a, b); }
  static I zip_bytes_high(I a, I b) { return _mm512_unpackhi_epi8(a, b); }
  static I zip_halves_low(I a, I b) { return _mm512_unpacklo_epi16(a, b); }
  static I zip_halves_high(I a, I b) { return _mm512_unpackhi_epi16(a, b); }
  // Sixteen bytes to target: byte k = byte from[k] of the four words, or zero where from[k] is 128 or more.
  static void spread_bytes(const uint32_t (&words)[4], const uint8_t* from, std::byte* target) {
    const __m128i source = _mm_setr_epi32(static_cast<int>(words[0]), static_cast<int>(words[1]),
                                          static_cast<int>(words[2]), static_cast<int>(words[3]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target),
                     _mm_shuffle_epi8(source, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  // Half h of every word, counted through the vector, = half (index[h] & 31) of table.
  static I pick_halves(I table, I index) { return _mm512_permutexvar_epi16(index, table); }
  // Lane i = lane (index[i] & 15) of table; the higher bits of the index do not count.
  static I lookup16(I table, I index) { return _mm512_permutexvar_epi32(index, table); }
  // Two columns a lane, 2 * kLanes bits of mask: lane i has column 2i in its low half, 2i + 1 in its high half. Three
  // operations of the shuffling port for 32 columns; widening first and expanding f32 takes four for 16.
  static I expand_bf16_pairs(const void* values, uint32_t mask) {
    return _mm512_maskz_expand_epi16(mask, _mm512_loadu_si512(values));
  }
};

}  // namespace esparse::simd
