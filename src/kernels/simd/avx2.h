// Vectors of eight f32 in AVX2, for the kernels in this folder. They are templates over such a type `V`; every type
// has the same operations: Avx2, Avx512 and Avx512Bf16, Neon, and Emulated (plain C++, any width, for machines without
// and for tests). Include only in files compiled for the instruction set.
//   F  kLanes f32         I  kLanes u32
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace esparse::simd {

// How a byte of a bitmask spreads values over eight columns: per byte the shuffle that puts the next value where a bit
// is set, and a negative index (zero) elsewhere. 14 KiB, of which a type needs 2 to 8: it stays in the L1 cache.
struct Avx2ExpandTable {
  alignas(32) int8_t bf16[256][32];  // of bytes: into the high half of every dword
  alignas(32) int8_t f16[256][16];   // of bytes
  alignas(32) int8_t f32[256][8];    // of dwords
};
constexpr Avx2ExpandTable make_avx2_expand_table() {
  Avx2ExpandTable table{};
  for (int mask = 0; mask < 256; ++mask) {
    int8_t slot = 0;
    for (int column = 0; column < 8; ++column) {
      const bool kept = (mask >> column & 1) != 0;
      const auto low = static_cast<int8_t>(kept ? 2 * slot : -1), high = static_cast<int8_t>(kept ? 2 * slot + 1 : -1);
      table.bf16[mask][4 * column] = table.bf16[mask][4 * column + 1] = -1;
      table.bf16[mask][4 * column + 2] = table.f16[mask][2 * column] = low;
      table.bf16[mask][4 * column + 3] = table.f16[mask][2 * column + 1] = high;
      table.f32[mask][column] = static_cast<int8_t>(kept ? slot : -1);
      slot = static_cast<int8_t>(slot + kept);
    }
  }
  return table;
}
inline constexpr Avx2ExpandTable kAvx2Expand = make_avx2_expand_table();

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

  // Lane i: the next of the stored `values` where bit i of the mask is set, else +0.0. Reads kLanes values, used or
  // not.
  static F expand_bf16(const void* values, uint32_t mask) {
    const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(values)));
    const auto* shuffle = reinterpret_cast<const __m256i*>(kAvx2Expand.bf16[mask]);
    return _mm256_castsi256_ps(_mm256_shuffle_epi8(both, _mm256_load_si256(shuffle)));
  }
  static F expand_f16(const void* values, uint32_t mask) {
    const auto* shuffle = reinterpret_cast<const __m128i*>(kAvx2Expand.f16[mask]);
    return _mm256_cvtph_ps(
        _mm_shuffle_epi8(_mm_loadu_si128(static_cast<const __m128i*>(values)), _mm_load_si128(shuffle)));
  }
  static F expand_f32(const void* values, uint32_t mask) {
    const auto* slots = reinterpret_cast<const __m128i*>(kAvx2Expand.f32[mask]);
    const __m256i slot = _mm256_cvtepi8_epi32(_mm_loadl_epi64(slots));
    const __m256 spread = _mm256_permutevar8x32_ps(load(values), slot);
    return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_srai_epi32(slot, 31)), spread);
  }

  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
};

}  // namespace esparse::simd
