#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/attention_kernels.h"
#include "kernels/attention_tiled.h"
#include "kernels/fast_exp.h"

namespace esparse {
namespace {

// What the ranges of keys leave for one query row: AttentionJob's results.
struct Partials {
  std::vector<float> out, maximum, sum;  // [ranges, kv heads, tokens, heads of a KV head] x head_dim, 1, 1
};

// Attention of few tokens.
class FewQueries {
 public:
  FewQueries(const AttentionShape& shape, MatrixView<const float> q, KvView keys, KvView values, Partials& partials)
      : shape_(shape), q_(q), keys_(keys), values_(values), partials_(partials) {
    past_ = keys.tokens - q.rows;
    group_ = shape.num_heads / shape.num_kv_heads;
    begin_ = first_visible_key(shape, past_);
    ranges_ = ceil_div(keys.tokens - begin_, kKeysPerPiece);
    rows_ = q.rows * group_;
    const int64_t all = ranges_ * shape.num_kv_heads * rows_;
    partials_.out.resize(all * shape.head_dim);
    partials_.maximum.resize(all);
    partials_.sum.resize(all);
  }

  void run(MatrixView<float> out) const {
    const int64_t multiply_adds = 2 * shape_.num_heads * shape_.head_dim * q_.rows * keys_.tokens;
    parallel_for_sized(ranges_ * shape_.num_kv_heads, multiply_adds,
                       [&](int64_t piece, int) { attend(piece / shape_.num_kv_heads, piece % shape_.num_kv_heads); });
    parallel_for_sized(shape_.num_kv_heads * rows_, shape_.num_kv_heads * rows_ * ranges_ * shape_.head_dim,
                       [&](int64_t row, int) { combine(row, out); });
  }

 private:
  int64_t place(int64_t range, int64_t kv_head) const { return (range * shape_.num_kv_heads + kv_head) * rows_; }

  void attend(int64_t range, int64_t kv_head) const {
    const int64_t first_key = begin_ + range * kKeysPerPiece;
    static thread_local std::vector<float> scaled;
    scaled.resize(kMaxAttentionRows * shape_.head_dim);
    for (int64_t first = 0; first < rows_; first += kMaxAttentionRows) {
      const int64_t rows = std::min(kMaxAttentionRows, rows_ - first), at = place(range, kv_head) + first;
      int64_t from[kMaxAttentionRows], to[kMaxAttentionRows];
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t token = (first + r) / group_, head = kv_head * group_ + (first + r) % group_;
        const float* q = q_.row(token).data() + head * shape_.head_dim;
        for (int64_t d = 0; d < shape_.head_dim; ++d) scaled[r * shape_.head_dim + d] = shape_.scale * q[d];
        from[r] = first_visible_key(shape_, past_ + token) - first_key;
        to[r] = past_ + token + 1 - first_key;
      }
      kernels<AttentionKernels>().attend({.dtype = keys_.dtype,
                                          .keys = keys_.at(kv_head, first_key),
                                          .values = values_.at(kv_head, first_key),
                                          .row_bytes = keys_.row_bytes(),
                                          .count = std::min(kKeysPerPiece, keys_.tokens - first_key),
                                          .head_dim = shape_.head_dim,
                                          .q = scaled.data(),
                                          .rows = rows,
                                          .from = from,
                                          .to = to,
                                          .out = partials_.out.data() + at * shape_.head_dim,
                                          .maximum = partials_.maximum.data() + at,
                                          .sum = partials_.sum.data() + at});
    }
  }

  // The ranges of one query row, in order: each counts exp(its maximum - that of all).
  void combine(int64_t piece, MatrixView<float> out) const {
    const int64_t kv_head = piece / rows_, row = piece % rows_;
    float* target = out.row(row / group_).data() + (kv_head * group_ + row % group_) * shape_.head_dim;
    float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int64_t range = 0; range < ranges_; ++range)
      maximum = std::max(maximum, partials_.maximum[place(range, kv_head) + row]);
    std::fill_n(target, shape_.head_dim, 0.0f);
    for (int64_t range = 0; range < ranges_; ++range) {
      const int64_t at = place(range, kv_head) + row;
      if (partials_.sum[at] == 0) continue;  // beyond what this row sees
      const float weight = fast_exp(partials_.maximum[at] - maximum);
      sum += weight * partials_.sum[at];
      const float* part = partials_.out.data() + at * shape_.head_dim;
      for (int64_t d = 0; d < shape_.head_dim; ++d) target[d] += weight * part[d];
    }
    const float scale = 1.0f / sum;
    for (int64_t d = 0; d < shape_.head_dim; ++d) target[d] *= scale;
  }

  const AttentionShape& shape_;
  MatrixView<const float> q_;
  KvView keys_, values_;
  Partials& partials_;
  int64_t past_, group_, begin_, ranges_, rows_;
};

}  // namespace

void causal_attention(const AttentionShape& shape, MatrixView<const float> q, KvView keys, KvView values,
                      MatrixView<float> out) {
  ESPARSE_CHECK(keys.tokens == values.tokens && keys.dtype == values.dtype && keys.tokens >= q.rows);
  ESPARSE_CHECK(keys.head_dim == shape.head_dim && values.head_dim == shape.head_dim);
  if (q.rows == 0) return;
  if (q.rows > kFewQueries) return tiled_attention(shape, q, keys, values, out);
  static thread_local Partials partials;  // grows to the longest context and stays
  FewQueries(shape, q, keys, values, partials).run(out);
}

void store_kv(MatrixView<const float> rows, const KvView& place, int64_t token, std::byte* data) {
  const int64_t heads = rows.cols / place.head_dim;
  parallel_for_sized(heads, rows.rows * rows.cols, [&](int64_t head, int) {
    for (int64_t t = 0; t < rows.rows; ++t)
      kernels<AttentionKernels>().narrow(place.dtype, rows.row(t).data() + head * place.head_dim,
                                         data + (head * place.head_tokens + token + t) * place.row_bytes(),
                                         place.head_dim);
  });
}

}  // namespace esparse
