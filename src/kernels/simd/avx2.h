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
  static constexpr int kRegisters = 16;
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
  static F load_bf16(const void* p) {  // one shuffle: both halves of the register get all eight, then take four
    const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    const __m256i to_high_halves = _mm256_setr_epi8(-1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7,  //
                                                    -1, -1, 8, 9, -1, -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15);
    return _mm256_castsi256_ps(_mm256_shuffle_epi8(both, to_high_halves));
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

  // The same in two steps, for many v with one index: select4_by(v, selector4(index)) = select4(v, index).
  static I selector4(I index) {
    const __m256 bytes = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(kFourBytes));
    return _mm256_castps_si256(_mm256_permutevar_ps(bytes, index));
  }
  static F select4_by(F v, I selector) {
    return _mm256_castsi256_ps(_mm256_shuffle_epi8(_mm256_castps_si256(v), selector));
  }
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
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  // target[0..3] = sum(a), sum(b), sum(c), sum(d), the same bits.
  static void sum4(F a, F b, F c, F d, float* target) {
    const __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    const __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
    const __m256 pairs = _mm256_add_ps(_mm256_unpacklo_ps(ab, cd), _mm256_unpackhi_ps(ab, cd));  // a c a c, b d b d
    const __m256 sums = _mm256_add_ps(pairs, _mm256_permute_ps(pairs, 0x4e));
    _mm_storeu_ps(target, _mm_unpacklo_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
  }
  static float max_lane(F v) {
    const __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
  }
  // 2^n of v = n + 1.5 * 2^23, -126 <= n <= 127: rounding to an integer has left n in the low bits.
  static F power_of_two(F v) {
    const __m256i biased = _mm256_add_epi32(_mm256_castps_si256(v), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }
  // kLanes 16-bit floats, unaligned; to nearest, ties to even, NaN stays NaN.
  static void store_f16(void* p, F v) {
    _mm_storeu_si128(static_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_bf16(void* p, F v) {
    const __m256i bits = _mm256_castps_si256(v), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i words = _mm256_blendv_epi8(rounded, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
    _mm_storeu_si128(static_cast<__m128i*>(p),
                     _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  }

 private:
  alignas(16) static constexpr uint32_t kFourBytes[4] = {0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c};
};

}  // namespace esparse::simd
