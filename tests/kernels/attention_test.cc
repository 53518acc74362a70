#include "kernels/attention.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

// Attention by its definition, in double.
Matrix<double> reference_attention(const AttentionShape& s, const Matrix<float>& q, const Matrix<float>& k,
                                   const Matrix<float>& v) {
  Matrix<double> out(q.rows(), q.cols());
  const int64_t past = k.rows() - q.rows(), shared = s.num_heads / s.num_kv_heads;
  for (int64_t t = 0; t < q.rows(); ++t)
    for (int64_t head = 0; head < s.num_heads; ++head) {
      const int64_t position = past + t, q_at = head * s.head_dim, kv_at = head / shared * s.head_dim;
      std::vector<double> weights(position + 1, 0.0);
      double sum = 0;
      for (int64_t j = 0; j <= position; ++j) {
        if (s.window > 0 && position - j >= s.window) continue;
        double score = 0;
        for (int64_t d = 0; d < s.head_dim; ++d) score += static_cast<double>(q(t, q_at + d)) * k(j, kv_at + d);
        weights[j] = std::exp(score * s.scale);
        sum += weights[j];
      }
      for (int64_t d = 0; d < s.head_dim; ++d)
        for (int64_t j = 0; j <= position; ++j) out(t, q_at + d) += weights[j] / sum * v(j, kv_at + d);
    }
  return out;
}

TEST(Attention, AgreesWithTheDefinition) {
  set_thread_count(2);
  for (const int64_t kv_heads : {1, 2, 4})
    for (const int64_t window : {0, 1, 5, 64, 70})
      for (const int64_t past : {0, 1, 13})
        for (const int64_t tokens : {1, 2, 5, 64, 65, 130}) {
          const AttentionShape shape{4, kv_heads, 6, 0.7f, window};
          const auto q = random_matrix(tokens, 24, 1), k = random_matrix(past + tokens, kv_heads * 6, 2),
                     v = random_matrix(past + tokens, kv_heads * 6, 3);
          Matrix<float> out(tokens, 24);
          for (float& value : out.values()) value = std::numeric_limits<float>::quiet_NaN();
          causal_attention(shape, q.view(), k.view(), v.view(), out.view());
          const auto reference = reference_attention(shape, q, k, v);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t c = 0; c < 24; ++c)
              ASSERT_NEAR(out(t, c), reference(t, c), 3e-6)
                  << "kv heads " << kv_heads << " window " << window << " past " << past << " tokens " << tokens
                  << " at " << t << "," << c;
        }
}

}  // namespace
}  // namespace esparse
