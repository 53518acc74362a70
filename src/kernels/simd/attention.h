// Attention of a few query rows over stored keys and values, over any vector type V of this folder.
//
// Keys are taken in blocks of kBlock: the scores of a block, one step of the running softmax (maximum and sum so far;
// Milakov and Gimelshein, arXiv 1805.02867), then the weighted values. So one pass reads keys and values once for all
// rows, 16-bit ones as they are stored, and no buffer is as long as the context. Changing the maximum costs one
// multiplication of `out` per block in which it grows.
// Order of accumulation: keys ascending, whatever the number of rows.
// Cost at head_dim 64 and four rows: 32 multiply-adds and four sums over lanes a key for the scores, 32 for the values.
#pragma once

#include <cstring>

#include "kernels/attention_kernels.h"
#include "kernels/simd/elements.h"

namespace esparse::simd {

template <typename V>
class Attention {
 public:
  static void attend(const AttentionJob& job) {
    for (int64_t r = 0; r < job.rows; ++r) job.maximum[r] = -__builtin_inff(), job.sum[r] = 0.0f;
    std::memset(job.out, 0, static_cast<size_t>(job.rows * job.head_dim) * sizeof(float));
    for (int64_t key = 0; key < job.count; key += kBlock) {
      const int64_t keys = job.count - key < kBlock ? job.count - key : kBlock;
      alignas(64) float weights[kMaxAttentionRows * kBlock];
      add_keys(job, key, keys, weights);
      for (int64_t r = 0; r < job.rows; ++r) softmax_row(job, r, key, keys, weights + r * kBlock);
      add_values(job, key, keys, weights);
    }
  }

  static float softmax_step(float* scores, int64_t count, float* maximum, float* sum) {
    F largest = V::broadcast(*maximum);
    int64_t k = 0;
    for (; k + kLanes <= count; k += kLanes) largest = V::max(largest, V::load(scores + k));
    float top = V::max_lane(largest);
    for (; k < count; ++k) top = scores[k] > top ? scores[k] : top;
    const F shift = V::broadcast(top);
    F total = V::zero();
    for (k = 0; k + kLanes <= count; k += kLanes) {
      const F value = exp(V::sub(V::load(scores + k), shift));
      V::store(scores + k, value);
      total = V::add(total, value);
    }
    if (k < count) {
      float rest[kLanes] = {};
      const auto bytes = static_cast<size_t>(count - k) * sizeof(float);
      std::memcpy(rest, scores + k, bytes);
      V::store(rest, exp(V::sub(V::load(rest), shift)));
      std::memcpy(scores + k, rest, bytes);
      for (int64_t lane = count - k; lane < kLanes; ++lane) rest[lane] = 0.0f;
      total = V::add(total, V::load(rest));
    }
    float correction[kLanes];
    V::store(correction, exp(V::sub(V::broadcast(*maximum), shift)));
    *maximum = top;
    *sum = *sum * correction[0] + V::sum(total);
    return correction[0];
  }

  static void narrow(DType dtype, const float* source, std::byte* target, int64_t count) {
    if (count == 0) return;  // memcpy() wants no null pointers even then
    if (dtype == DType::f32) {
      std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));
      return;
    }
    const auto store = dtype == DType::f16 ? V::store_f16 : V::store_bf16;
    int64_t k = 0;
    for (; k + kLanes <= count; k += kLanes) store(target + 2 * k, V::load(source + k));
    if (k == count) return;
    float rest[kLanes] = {};
    std::byte words[2 * kLanes];
    std::memcpy(rest, source + k, static_cast<size_t>(count - k) * sizeof(float));
    store(words, V::load(rest));
    std::memcpy(target + 2 * k, words, static_cast<size_t>(count - k) * 2);
  }

 private:
  using F = typename V::F;
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int64_t kBlock = 64;  // keys: their values stay in the first-level cache between two columns

  // exp on [-87, 88], clamped outside: the polynomial of kernels/fast_exp.h.
  static F exp(F x) {
    x = V::min(V::max(x, V::broadcast(-87.0f)), V::broadcast(88.0f));
    const F shifted = V::add(V::mul(x, V::broadcast(1.44269504f)), V::broadcast(12582912.0f));
    const F n = V::sub(shifted, V::broadcast(12582912.0f));
    const F r = V::sub(V::sub(x, V::mul(n, V::broadcast(0.693145752f))), V::mul(n, V::broadcast(1.42860677e-6f)));
    F p = V::broadcast(1.0f / 5040.0f);
    for (const float c : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f})
      p = V::fma(p, r, V::broadcast(c));
    return V::mul(p, V::power_of_two(shifted));
  }

  // Scores of one row and block -> weights, zero where the row does not look.
  static void softmax_row(const AttentionJob& job, int64_t row, int64_t key, int64_t keys, float* weights) {
    int64_t from = job.from[row] - key, to = job.to[row] - key;
    from = from < 0 ? 0 : from < keys ? from : keys;
    to = to < from ? from : to < keys ? to : keys;
    for (int64_t k = 0; k < from; ++k) weights[k] = 0.0f;
    for (int64_t k = to; k < keys; ++k) weights[k] = 0.0f;
    if (from == to) return;
    const float correction = softmax_step(weights + from, to - from, job.maximum + row, job.sum + row);
    if (correction == 1.0f) return;
    float* out = job.out + row * job.head_dim;
    for (int64_t d = 0; d < job.head_dim; ++d) out[d] *= correction;
  }

  static void add_keys(const AttentionJob& job, int64_t key, int64_t keys, float* scores) {
    const std::byte* first = job.keys + key * job.row_bytes;
    if (job.dtype == DType::bf16) return score_typed<ElementsBf16<V>>(job, first, keys, scores);
    if (job.dtype == DType::f16) return score_typed<ElementsF16<V>>(job, first, keys, scores);
    score_typed<ElementsF32<V>>(job, first, keys, scores);
  }

  static void add_values(const AttentionJob& job, int64_t key, int64_t keys, const float* weights) {
    const std::byte* first = job.values + key * job.row_bytes;
    if (job.dtype == DType::bf16) return add_typed<ElementsBf16<V>>(job, first, keys, weights);
    if (job.dtype == DType::f16) return add_typed<ElementsF16<V>>(job, first, keys, weights);
    add_typed<ElementsF32<V>>(job, first, keys, weights);
  }

  // scores [rows, kBlock]: four keys times two rows at a time.
  template <typename Elements>
  static void score_typed(const AttentionJob& job, const std::byte* keys, int64_t count, float* scores) {
    int64_t row = 0;
    for (; row + 2 <= job.rows; row += 2) score_rows<Elements, 2>(job, row, keys, count, scores + row * kBlock);
    if (row < job.rows) score_rows<Elements, 1>(job, row, keys, count, scores + row * kBlock);
  }
  template <typename Elements, int rows>
  static void score_rows(const AttentionJob& job, int64_t row, const std::byte* keys, int64_t count, float* scores) {
    const float* q = job.q + row * job.head_dim;
    int64_t key = 0;
    for (; key + 4 <= count; key += 4) score<Elements, rows, 4>(job, q, keys + key * job.row_bytes, scores + key);
    for (; key < count; ++key) score<Elements, rows, 1>(job, q, keys + key * job.row_bytes, scores + key);
  }
  template <typename Elements, int rows, int keys>
  static void score(const AttentionJob& job, const float* q, const std::byte* first, float* scores) {
    F sum[rows][keys];
    for (int r = 0; r < rows; ++r)
      for (int k = 0; k < keys; ++k) sum[r][k] = V::zero();
    const auto add = [&](const float* x, int64_t x_stride, const std::byte* key, int64_t key_bytes) {
      F query[rows];
      for (int r = 0; r < rows; ++r) query[r] = V::load(x + r * x_stride);
      for (int k = 0; k < keys; ++k) {
        const F value = Elements::load(key + k * key_bytes);
        for (int r = 0; r < rows; ++r) sum[r][k] = V::fma(value, query[r], sum[r][k]);
      }
    };
    int64_t column = 0;
    for (; column + kLanes <= job.head_dim; column += kLanes)
      add(q + column, job.head_dim, first + column * Elements::kBytes, job.row_bytes);
    if (column < job.head_dim) {
      const auto rest = static_cast<size_t>(job.head_dim - column);
      alignas(64) float x[rows * kLanes] = {};
      alignas(64) std::byte key[keys * kLanes * Elements::kBytes] = {};
      for (int r = 0; r < rows; ++r) std::memcpy(x + r * kLanes, q + r * job.head_dim + column, rest * sizeof(float));
      for (int k = 0; k < keys; ++k)
        std::memcpy(key + k * kLanes * Elements::kBytes, first + k * job.row_bytes + column * Elements::kBytes,
                    rest * Elements::kBytes);
      add(x, kLanes, key, kLanes * Elements::kBytes);
    }
    for (int r = 0; r < rows; ++r) {
      if constexpr (keys == 4) {
        V::sum4(sum[r][0], sum[r][1], sum[r][2], sum[r][3], scores + r * kBlock);
      } else {
        scores[r * kBlock] = V::sum(sum[r][0]);
      }
    }
  }

  // out [rows, head_dim] += weights [rows, kBlock] * values, eight sums in registers: enough to hide how long an
  // addition takes.
  template <typename Elements>
  static void add_typed(const AttentionJob& job, const std::byte* values, int64_t keys, const float* weights) {
    int64_t row = 0;
    for (; row + 4 <= job.rows; row += 4) add_columns<Elements, 2, 4>(job, row, values, keys, weights);
    for (; row + 2 <= job.rows; row += 2) add_columns<Elements, 4, 2>(job, row, values, keys, weights);
    if (row < job.rows) add_columns<Elements, 8, 1>(job, row, values, keys, weights);
  }

  template <typename Elements, int parts, int rows>
  static void add_columns(const AttentionJob& job, int64_t row, const std::byte* values, int64_t keys,
                          const float* weights) {
    float* out = job.out + row * job.head_dim;
    weights += row * kBlock;
    int64_t column = 0;
    for (; column + parts * kLanes <= job.head_dim; column += parts * kLanes)
      add_rows<Elements, parts, rows>(values + column * Elements::kBytes, job.row_bytes, keys, weights, out + column,
                                      job.head_dim);
    for (; column + kLanes <= job.head_dim; column += kLanes)
      add_rows<Elements, 1, rows>(values + column * Elements::kBytes, job.row_bytes, keys, weights, out + column,
                                  job.head_dim);
    if (column < job.head_dim) add_tail<Elements, rows>(job, values, keys, weights, out, column);
  }

  template <typename Elements, int parts, int rows>
  static void add_rows(const std::byte* values, int64_t row_bytes, int64_t keys, const float* weights, float* out,
                       int64_t out_stride) {
    F sum[rows][parts];
    for (int r = 0; r < rows; ++r)
      for (int p = 0; p < parts; ++p) sum[r][p] = V::load(out + r * out_stride + p * kLanes);
    for (int64_t k = 0; k < keys; ++k) {
      F weight[rows];
      for (int r = 0; r < rows; ++r) weight[r] = V::broadcast(weights[r * kBlock + k]);
      for (int p = 0; p < parts; ++p) {
        const F value = Elements::load(values + k * row_bytes + p * kLanes * Elements::kBytes);
        for (int r = 0; r < rows; ++r) sum[r][p] = V::fma(weight[r], value, sum[r][p]);
      }
    }
    for (int r = 0; r < rows; ++r)
      for (int p = 0; p < parts; ++p) V::store(out + r * out_stride + p * kLanes, sum[r][p]);
  }

  // The last, incomplete vector of columns, through padded copies.
  template <typename Elements, int rows>
  static void add_tail(const AttentionJob& job, const std::byte* values, int64_t keys, const float* weights, float* out,
                       int64_t column) {
    const auto rest = static_cast<size_t>(job.head_dim - column);
    alignas(64) std::byte padded[kBlock * kLanes * Elements::kBytes] = {};
    alignas(64) float sums[rows * kLanes] = {};
    for (int64_t k = 0; k < keys; ++k)
      std::memcpy(padded + k * kLanes * Elements::kBytes, values + k * job.row_bytes + column * Elements::kBytes,
                  rest * Elements::kBytes);
    for (int r = 0; r < rows; ++r)
      std::memcpy(sums + r * kLanes, out + r * job.head_dim + column, rest * sizeof(float));
    add_rows<Elements, 1, rows>(padded, kLanes * Elements::kBytes, keys, weights, sums, kLanes);
    for (int r = 0; r < rows; ++r)
      std::memcpy(out + r * job.head_dim + column, sums + r * kLanes, rest * sizeof(float));
  }
};

}  // namespace esparse::simd
