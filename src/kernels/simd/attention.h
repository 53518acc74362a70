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
#include "kernels/simd/few_dense.h"

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
      FewDense<V>::multiply({.dtype = job.dtype,
                             .weight = job.keys + key * job.row_bytes,
                             .row_bytes = job.row_bytes,
                             .rows = keys,
                             .in_features = job.head_dim,
                             .x = job.q,
                             .x_stride = job.head_dim,
                             .tokens = job.rows,
                             .y = weights,
                             .y_stride = kBlock});
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

  static void add_values(const AttentionJob& job, int64_t key, int64_t keys, const float* weights) {
    const std::byte* values = job.values + key * job.row_bytes;
    if (job.dtype == DType::bf16) return add_typed<ElementsBf16<V>>(job, values, keys, weights);
    if (job.dtype == DType::f16) return add_typed<ElementsF16<V>>(job, values, keys, weights);
    add_typed<ElementsF32<V>>(job, values, keys, weights);
  }

  template <typename Elements>
  static void add_typed(const AttentionJob& job, const std::byte* values, int64_t keys, const float* weights) {
    int64_t column = 0, row_bytes = job.row_bytes;
    for (; column + 2 * kLanes <= job.head_dim; column += 2 * kLanes)
      add_columns<Elements, 2>(values + column * Elements::kBytes, row_bytes, keys, weights, job, job.out + column);
    for (; column + kLanes <= job.head_dim; column += kLanes)
      add_columns<Elements, 1>(values + column * Elements::kBytes, row_bytes, keys, weights, job, job.out + column);
    if (column < job.head_dim) add_tail<Elements>(values + column * Elements::kBytes, keys, weights, job, column);
  }

  // out[r, 0 .. parts * kLanes) += sum_k weights[r, k] * values[k], four rows at a time.
  template <typename Elements, int parts>
  static void add_columns(const std::byte* values, int64_t row_bytes, int64_t keys, const float* weights,
                          const AttentionJob& job, float* out) {
    int64_t row = 0;
    for (; row + 4 <= job.rows; row += 4)
      add_rows<Elements, parts, 4>(values, row_bytes, keys, weights + row * kBlock, out + row * job.head_dim,
                                   job.head_dim);
    for (; row < job.rows; ++row)
      add_rows<Elements, parts, 1>(values, row_bytes, keys, weights + row * kBlock, out + row * job.head_dim,
                                   job.head_dim);
  }

  template <typename Elements, int parts, int rows>
  static void add_rows(const std::byte* values, int64_t row_bytes, int64_t keys, const float* weights, float* out,
                       int64_t out_stride) {
    F sum[rows][parts];
    for (int r = 0; r < rows; ++r)
      for (int p = 0; p < parts; ++p) sum[r][p] = V::load(out + r * out_stride + p * kLanes);
    for (int64_t k = 0; k < keys; ++k) {
      F value[parts];
      for (int p = 0; p < parts; ++p) value[p] = Elements::load(values + k * row_bytes + p * kLanes * Elements::kBytes);
      for (int r = 0; r < rows; ++r) {
        const F weight = V::broadcast(weights[r * kBlock + k]);
        for (int p = 0; p < parts; ++p) sum[r][p] = V::fma(weight, value[p], sum[r][p]);
      }
    }
    for (int r = 0; r < rows; ++r)
      for (int p = 0; p < parts; ++p) V::store(out + r * out_stride + p * kLanes, sum[r][p]);
  }

  // The last, incomplete vector of columns, through padded copies.
  template <typename Elements>
  static void add_tail(const std::byte* values, int64_t keys, const float* weights, const AttentionJob& job,
                       int64_t column) {
    const int64_t rest = job.head_dim - column;
    alignas(64) std::byte padded[kBlock * kLanes * Elements::kBytes] = {};
    for (int64_t k = 0; k < keys; ++k)
      std::memcpy(padded + k * kLanes * Elements::kBytes, values + k * job.row_bytes,
                  static_cast<size_t>(rest * Elements::kBytes));
    for (int64_t r = 0; r < job.rows; ++r) {
      alignas(64) float out[kLanes] = {};
      float* target = job.out + r * job.head_dim + column;
      std::memcpy(out, target, static_cast<size_t>(rest) * sizeof(float));
      add_rows<Elements, 1, 1>(padded, kLanes * Elements::kBytes, keys, weights + r * kBlock, out, 0);
      std::memcpy(target, out, static_cast<size_t>(rest) * sizeof(float));
    }
  }
};

}  // namespace esparse::simd
