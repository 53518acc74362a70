#include "kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/elementwise.h"
#include "kernels/row_kernels.h"
#include "kernels/sgemm.h"

namespace esparse {
namespace {

constexpr int64_t kQueryBlock = 64;  // 64 x 4096 scores are 1 MiB: they stay in the second-level cache
constexpr int64_t kFewQueries = 4;   // below, packing for sgemm is not repaid

int64_t first_key(const AttentionShape& shape, int64_t position) {
  return shape.window == 0 ? 0 : std::max<int64_t>(0, position - shape.window + 1);
}

// One query: out [head_dim].
void attend_one(const AttentionShape& shape, const float* q, MatrixView<const float> keys,
                MatrixView<const float> values, int64_t position, float* out, std::vector<float>& scores) {
  const RowKernels& kernels = row_kernels();
  const int64_t begin = first_key(shape, position), count = position + 1 - begin;
  scores.resize(count);
  for (int64_t k = 0; k < count; ++k)
    scores[k] = shape.scale * kernels.dot(q, keys.row(begin + k).data(), shape.head_dim);
  softmax(scores);
  std::fill_n(out, shape.head_dim, 0.0f);
  for (int64_t k = 0; k < count; ++k) kernels.add_scaled(scores[k], values.row(begin + k).data(), out, shape.head_dim);
}

// A block of consecutive queries: q, out [queries, head_dim].
void attend_block(const AttentionShape& shape, MatrixView<const float> q, MatrixView<const float> keys,
                  MatrixView<const float> values, int64_t first_position, MatrixView<float> out,
                  std::vector<float>& buffer) {
  const int64_t begin = first_key(shape, first_position), end = first_position + q.rows, count = end - begin;
  buffer.resize(q.rows * count);
  const MatrixView<float> scores(buffer.data(), q.rows, count);
  sgemm_transposed(shape.scale, q, keys.rows_from(begin, count), scores);
  for (int64_t query = 0; query < q.rows; ++query) {
    const int64_t position = first_position + query;
    const int64_t from = first_key(shape, position) - begin, to = position + 1 - begin;
    const auto row = scores.row(query);
    softmax(row.subspan(from, to - from));
    std::fill(row.begin(), row.begin() + from, 0.0f);
    std::fill(row.begin() + to, row.end(), 0.0f);
  }
  sgemm(scores, values.rows_from(begin, count), out);
}

}  // namespace

void causal_attention(const AttentionShape& shape, MatrixView<const float> q, MatrixView<const float> keys,
                      MatrixView<const float> values, MatrixView<float> out) {
  ESPARSE_CHECK(keys.rows == values.rows && keys.rows >= q.rows);
  const int64_t past = keys.rows - q.rows, width = shape.head_dim;
  const int64_t queries_per_kv_head = shape.num_heads / shape.num_kv_heads;
  const int64_t block = q.rows <= kFewQueries ? 1 : kQueryBlock;
  const int64_t blocks = ceil_div(q.rows, block);
  const int64_t multiply_adds = 2 * shape.num_heads * width * q.rows * keys.rows;
  parallel_for_sized(shape.num_heads * blocks, multiply_adds, [&](int64_t piece, int) {
    static thread_local std::vector<float> scratch;
    const int64_t head = piece / blocks, first = piece % blocks * block, count = std::min(block, q.rows - first);
    const int64_t kv_column = head / queries_per_kv_head * width;
    const auto k = keys.cols_from(kv_column, width), v = values.cols_from(kv_column, width);
    const auto q_head = q.rows_from(first, count).cols_from(head * width, width);
    const auto out_head = out.rows_from(first, count).cols_from(head * width, width);
    if (block == 1) {
      attend_one(shape, q_head.data, k, v, past + first, out_head.data, scratch);
    } else {
      attend_block(shape, q_head, k, v, past + first, out_head, scratch);
    }
  });
}

}  // namespace esparse
