#include "kernels/attention_tiled.h"

#include <limits>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/attention_kernels.h"
#include "kernels/row_kernels.h"
#include "kernels/sgemm.h"

namespace esparse {
namespace {

// 256 rows x 128 keys of scores are 128 KiB: they stay in the second-level cache. Fewer rows would not repay the
// packing of sgemm and the widening of the tile; fewer than 16 tokens would leave more of a tile above the diagonal.
constexpr int64_t kTileRows = 256;
constexpr int64_t kMinTileTokens = 16, kMaxTileTokens = 64;
constexpr int64_t kKeyTile = 128;

struct Scratch {
  Matrix<float> q, scores, out, keys, values;
  std::vector<float> maximum, sum;
};

void fit(Matrix<float>& matrix, int64_t rows, int64_t cols) {
  if (matrix.rows() < rows || matrix.cols() != cols) matrix = Matrix<float>(rows, cols);
}

// Keys or values [count, head_dim] as f32: where they stand, or widened into `scratch`.
MatrixView<const float> as_f32(const KvView& kv, int64_t kv_head, int64_t token, int64_t count,
                               Matrix<float>& scratch) {
  const std::byte* first = kv.at(kv_head, token);
  if (kv.dtype == DType::f32 && reinterpret_cast<uintptr_t>(first) % alignof(float) == 0)
    return {reinterpret_cast<const float*>(first), count, kv.head_dim};
  row_kernels().widen(kv.dtype, first, scratch.data(), count * kv.head_dim);
  return scratch.view().rows_from(0, count);
}

// The query heads of one KV head, for a block of consecutive tokens. Row h * tokens + t is token t of head h.
class Tile {
 public:
  Tile(const AttentionShape& shape, MatrixView<const float> q, KvView keys, KvView values, Scratch& scratch)
      : shape_(shape), q_(q), keys_(keys), values_(values), s_(scratch), past_(keys.tokens - q.rows) {}

  void run(int64_t kv_head, int64_t first, int64_t tokens, MatrixView<float> out) {
    kv_head_ = kv_head, first_ = first, tokens_ = tokens, heads_ = shape_.num_heads / shape_.num_kv_heads;
    start();
    const int64_t end = past_ + first + tokens;
    for (int64_t key = first_visible_key(shape_, past_ + first); key < end; key += kKeyTile)
      add_keys(key, std::min(kKeyTile, end - key));
    write(out);
  }

 private:
  int64_t rows() const { return heads_ * tokens_; }

  void start() {
    fit(s_.q, rows(), shape_.head_dim);
    fit(s_.out, rows(), shape_.head_dim);
    fit(s_.scores, rows(), kKeyTile);
    fit(s_.keys, kKeyTile, shape_.head_dim);
    fit(s_.values, kKeyTile, shape_.head_dim);
    s_.maximum.assign(rows(), -std::numeric_limits<float>::infinity());
    s_.sum.assign(rows(), 0.0f);
    for (int64_t row = 0; row < rows(); ++row) {
      const float* q = q_.row(first_ + row % tokens_).data() + (kv_head_ * heads_ + row / tokens_) * shape_.head_dim;
      for (int64_t d = 0; d < shape_.head_dim; ++d) s_.q(row, d) = shape_.scale * q[d];
    }
    std::fill_n(s_.out.data(), rows() * shape_.head_dim, 0.0f);
  }

  void add_keys(int64_t key, int64_t count) {
    const auto scores = s_.scores.view().rows_from(0, rows()).cols_from(0, count);
    sgemm_transposed(1.0f, s_.q.view().rows_from(0, rows()), as_f32(keys_, kv_head_, key, count, s_.keys), scores);
    for (int64_t row = 0; row < rows(); ++row) {
      const int64_t position = past_ + first_ + row % tokens_;
      const int64_t from = std::clamp<int64_t>(first_visible_key(shape_, position) - key, 0, count);
      const int64_t to = std::clamp<int64_t>(position + 1 - key, from, count);
      softmax_row(row, scores.row(row), from, to);
    }
    sgemm(scores, as_f32(values_, kv_head_, key, count, s_.values), s_.out.view().rows_from(0, rows()), 1.0f);
  }

  // Scores -> weights, zero outside [from, to).
  void softmax_row(int64_t row, std::span<float> scores, int64_t from, int64_t to) {
    std::fill(scores.begin(), scores.begin() + from, 0.0f);
    std::fill(scores.begin() + to, scores.end(), 0.0f);
    if (from == to) return;
    const float correction =
        kernels<AttentionKernels>().softmax_step(scores.data() + from, to - from, &s_.maximum[row], &s_.sum[row]);
    if (correction == 1.0f) return;
    for (float& value : s_.out.row(row)) value *= correction;
  }

  void write(MatrixView<float> out) const {
    for (int64_t row = 0; row < rows(); ++row) {
      float* to = out.row(first_ + row % tokens_).data() + (kv_head_ * heads_ + row / tokens_) * shape_.head_dim;
      const float scale = 1.0f / s_.sum[row];
      for (int64_t d = 0; d < shape_.head_dim; ++d) to[d] = s_.out(row, d) * scale;
    }
  }

  const AttentionShape& shape_;
  MatrixView<const float> q_;
  KvView keys_, values_;
  Scratch& s_;
  int64_t past_, kv_head_ = 0, first_ = 0, tokens_ = 0, heads_ = 0;
};

}  // namespace

void tiled_attention(const AttentionShape& shape, MatrixView<const float> q, KvView keys, KvView values,
                     MatrixView<float> out) {
  const int64_t block = std::clamp(kTileRows * shape.num_kv_heads / shape.num_heads, kMinTileTokens, kMaxTileTokens);
  const int64_t blocks = ceil_div(q.rows, block);
  const int64_t multiply_adds = 2 * shape.num_heads * shape.head_dim * q.rows * keys.tokens;
  parallel_for_sized(shape.num_kv_heads * blocks, multiply_adds, [&](int64_t piece, int) {
    static thread_local Scratch scratch;
    // The last blocks see the most keys: first, so that no thread is left with one of them at the end.
    const int64_t first = (blocks - 1 - piece / shape.num_kv_heads) * block;
    Tile(shape, q, keys, values, scratch).run(piece % shape.num_kv_heads, first, std::min(block, q.rows - first), out);
  });
}

}  // namespace esparse
