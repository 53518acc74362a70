// Row kernels for AVX2 + FMA + F16C.
// Tails: counts of any size; the last, incomplete vector goes through a small buffer, nothing beyond the
// row's values is read, beyond the matrix's when rows are expanded.
#include <immintrin.h>

#include <cstring>

#include "kernels/row_kernels.h"
#include "kernels/simd/avx2.h"
#include "kernels/simd/few_bits.h"

namespace esparse {

extern const RowKernels kAvx2RowKernels;

namespace {

constexpr int64_t kLanes = 8;  // f32 per register

float horizontal_sum(__m256 v) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// Eight stored elements as f32.
struct LoadF32 {
  static constexpr int64_t kBytes = 4;
  static __m256 load(const std::byte* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
};
struct LoadF16 {
  static constexpr int64_t kBytes = 2;
  static __m256 load(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
};
struct LoadBf16 {
  static constexpr int64_t kBytes = 2;
  static __m256 load(const std::byte* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
};

// The first `count` < 8 elements, zeros behind them.
template <typename Load>
__m256 load_partial(const std::byte* p, int64_t count) {
  alignas(32) std::byte buffer[kLanes * 4] = {};
  std::memcpy(buffer, p, static_cast<size_t>(count * Load::kBytes));
  return Load::load(buffer);
}

template <typename Load>
void widen_typed(const std::byte* source, float* target, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) _mm256_storeu_ps(target + i, Load::load(source + i * Load::kBytes));
  if (i == count) return;
  alignas(32) float buffer[kLanes];
  _mm256_store_ps(buffer, load_partial<Load>(source + i * Load::kBytes, count - i));
  std::memcpy(target + i, buffer, static_cast<size_t>(count - i) * sizeof(float));
}

template <typename Load>
float dot_typed(const std::byte* weight, const float* x, int64_t count) {
  // Four accumulators: two FMA ports x four cycles of latency would take eight, but the loads bound the loop first.
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes)
    for (int64_t part = 0; part < 4; ++part) {
      const int64_t at = i + part * kLanes;
      sum[part] = _mm256_fmadd_ps(Load::load(weight + at * Load::kBytes), _mm256_loadu_ps(x + at), sum[part]);
    }
  for (; i + kLanes <= count; i += kLanes)
    sum[0] = _mm256_fmadd_ps(Load::load(weight + i * Load::kBytes), _mm256_loadu_ps(x + i), sum[0]);
  if (i < count)
    sum[1] = _mm256_fmadd_ps(load_partial<Load>(weight + i * Load::kBytes, count - i),
                             load_partial<LoadF32>(reinterpret_cast<const std::byte*>(x + i), count - i), sum[1]);
  return horizontal_sum(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

template <template <typename> class Bits>
void expand_typed(const BitRowsView& packed, int64_t row, float* target) {
  simd::expand_row<Bits<simd::Avx2>>(packed.row_values(row), packed.row_bits(row), packed.in_features,
                                     packed.row_values(row + 1), packed.row_values(packed.out_features), target);
}

void widen(DType dtype, const std::byte* source, float* target, int64_t count) {
  if (dtype == DType::bf16) return widen_typed<LoadBf16>(source, target, count);
  if (dtype == DType::f16) return widen_typed<LoadF16>(source, target, count);
  widen_typed<LoadF32>(source, target, count);
}

float dot(const float* a, const float* b, int64_t count) {
  return dot_typed<LoadF32>(reinterpret_cast<const std::byte*>(a), b, count);
}

void expand_bits(const BitRowsView& packed, int64_t row, float* target) {
  if (packed.dtype == DType::bf16) return expand_typed<simd::BitsBf16>(packed, row, target);
  if (packed.dtype == DType::f16) return expand_typed<simd::BitsF16>(packed, row, target);
  expand_typed<simd::BitsF32>(packed, row, target);
}

}  // namespace

const RowKernels kAvx2RowKernels = {"avx2", widen, dot, expand_bits};

}  // namespace esparse
