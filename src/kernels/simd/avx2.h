// Vectors of eight f32 in AVX2, for the kernels in this folder. They are templates over such a type `V`; every type
// has the same operations: Avx2, Avx512 and Avx512Bf16, Neon, and Emulated (plain C++, any width, for machines without
// and for tests). Include only in files compiled for the instruction set.
//   F  kLanes f32         I  kLanes u32
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace esparse::simd {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr bool kHasPairs = false;  // has dot_pairs()
  using F = __m256;
  using I = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F broadcast(float value) { return _mm256_set1_ps(value); }
  static F load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }  // a * b + c
  static float sum(F v) {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
  }

  // kLanes 16-bit floats, unaligned, as f32.
  static F load_bf16(const void* p) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))), 16));
  }
  static F load_f16(const void* p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }

  static I load_words(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  template <int count>
  static I shift_right(I v) {
    return _mm256_srli_epi32(v, count);
  }
  // Every u32 holds two bf16: the one in its low half, the one in its high half.
  static F bf16_low(I v) { return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)); }
  static F bf16_high(I v) { return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32(-65536))); }

  // p[0..3] in every four lanes.
  static F broadcast4(const float* p) { return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p)); }
  // Lane i = lane (i & ~3) + (index[i] & 3) of v; the higher bits of the index do not count.
  static F select4(F v, I index) { return _mm256_permutevar_ps(v, index); }

  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

  static void prefetch_second_level(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
  static I as_words(F v) { return _mm256_castps_si256(v); }  // the bits
  static I add_words(I a, I b) { return _mm256_add_epi32(a, b); }
  static I broadcast_word(uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
  static void store_words(uint32_t* p, I v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  // p[i] = byte i of `bytes` * scale + base, i = 0 ... 7.
  static void store_scaled_bytes(uint32_t* p, uint64_t bytes, uint32_t scale, uint32_t base) {
    const I words = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
    store_words(p, add_words(_mm256_mullo_epi32(words, broadcast_word(scale)), broadcast_word(base)));
  }
  // rows[i] lane j = rows[j] lane i as it was.
  static void transpose(F (&rows)[kLanes]) {
    F pairs[kLanes], quads[kLanes];
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
      for (int k = 0; k < 2; ++k) {
        quads[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + 2 + k], 0x44);
        quads[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + 2 + k], 0xee);
      }
    for (int i = 0; i < 4; ++i) {
      rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
      rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
    }
  }
};

}  // namespace esparse::simd
