#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/parallel.h"
#include "kernels/attention_kernels.h"
#include "kernels/attention_tiled.h"
#include "kernels/narrow.h"
#include "kernels/reference.h"
#include "kernels/simd/attention.h"
#include "kernels/simd/emulated.h"

namespace esparse {
namespace {

using namespace testing_support;

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// Keys or values: what was stored, one byte off and with room behind each head, and what it is as f32.
struct Stored {
  static constexpr int64_t kRoom = 3;  // tokens; poisoned

  Stored(DType dtype, int64_t tokens, int64_t heads, int64_t head_dim, uint64_t seed)
      : values(tokens, heads * head_dim), bytes(heads * (tokens + kRoom) * head_dim * dtype_bytes(dtype) + 1) {
    const auto wanted = rounded(dtype, random_values(tokens * heads * head_dim, seed));
    std::copy(wanted.begin(), wanted.end(), values.data());
    const std::vector<float> poison(heads * (tokens + kRoom) * head_dim, kPoison);
    convert_from_f32(dtype, poison, bytes.data() + 1);
    view = {dtype, bytes.data() + 1, tokens, head_dim, tokens + kRoom};
    store();
  }
  void store() { store_kv(values.view(), view, 0, bytes.data() + 1); }

  Matrix<float> values;  // [tokens, heads * head_dim]
  std::vector<std::byte> bytes;
  KvView view;
};

// Attention by its definition, in double. `magnitude` is what rounding errors scale with: a score with d products is
// off by about d eps times the sum of their absolute values, which moves its weight by as much, relatively.
struct Reference {
  Matrix<double> out;
  double tolerance = 0;
};

Reference reference_attention(const AttentionShape& s, const Matrix<float>& q, const Matrix<float>& k,
                              const Matrix<float>& v) {
  Reference result{Matrix<double>(q.rows(), q.cols())};
  const int64_t past = k.rows() - q.rows(), shared = s.num_heads / s.num_kv_heads;
  double largest_score = 0, largest_value = 0;
  for (const float value : v.values()) largest_value = std::max(largest_value, std::abs(static_cast<double>(value)));
  for (int64_t t = 0; t < q.rows(); ++t)
    for (int64_t head = 0; head < s.num_heads; ++head) {
      const int64_t position = past + t, q_at = head * s.head_dim, kv_at = head / shared * s.head_dim;
      std::vector<double> weights(position + 1, 0.0);
      double sum = 0;
      for (int64_t j = 0; j <= position; ++j) {
        if (s.window > 0 && position - j >= s.window) continue;
        const auto score = dot_reference(&q(t, q_at), &k(j, kv_at), s.head_dim);
        weights[j] = std::exp(score.value * s.scale);
        largest_score = std::max(largest_score, score.magnitude * s.scale);
        sum += weights[j];
      }
      for (int64_t d = 0; d < s.head_dim; ++d)
        for (int64_t j = 0; j <= position; ++j) result.out(t, q_at + d) += weights[j] / sum * v(j, kv_at + d);
    }
  // The weights' errors (twice: above and below the fraction bar), those of exp (2e-7) and of summing the keys.
  const double relative = 2 * (static_cast<double>(s.head_dim) / 8 + 8) * 0x1p-24 * largest_score + 4e-7 +
                          (static_cast<double>(k.rows()) / 8 + 8) * 0x1p-24;
  result.tolerance = relative * largest_value;
  return result;
}

using Attend = void (*)(const AttentionShape&, MatrixView<const float>, KvView, KvView, MatrixView<float>);

void expect_definition(Attend attend, const AttentionShape& shape, DType dtype, int64_t tokens, int64_t past) {
  const auto q = random_matrix(tokens, shape.num_heads * shape.head_dim, 1);
  const Stored k(dtype, past + tokens, shape.num_kv_heads, shape.head_dim, 2);
  const Stored v(dtype, past + tokens, shape.num_kv_heads, shape.head_dim, 3);
  Matrix<float> out(tokens, q.cols());
  for (float& value : out.values()) value = kPoison;
  attend(shape, q.view(), k.view, v.view, out.view());
  const auto reference = reference_attention(shape, q, k.values, v.values);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < q.cols(); ++c)
      ASSERT_NEAR(out(t, c), reference.out(t, c), reference.tolerance)
          << dtype_name(dtype) << ", heads " << shape.num_heads << "/" << shape.num_kv_heads << " of " << shape.head_dim
          << ", window " << shape.window << ", past " << past << ", tokens " << tokens << ", at " << t << "," << c;
}

class Attention : public testing::TestWithParam<DType> {};

TEST_P(Attention, AgreesWithTheDefinition) {
  set_thread_count(2);
  for (const int64_t kv_heads : {1, 2, 4})
    for (const int64_t window : {0, 1, 5, 64, 70})
      for (const int64_t past : {0, 1, 13, 300})
        for (const int64_t tokens : {1, 2, 5, 8, 9, 64, 65, 70})
          expect_definition(causal_attention, {4, kv_heads, 6, 0.7f, window}, GetParam(), tokens, past);
}

TEST_P(Attention, EveryHeadDim) {
  for (int64_t head_dim = 1; head_dim <= 40; ++head_dim)
    for (const int64_t tokens : {1, 3, 20})
      expect_definition(causal_attention, {6, 2, head_dim, 0.5f, 0}, GetParam(), tokens, 67);
  for (const int64_t head_dim : {64, 80, 128})
    for (const int64_t tokens : {1, 3, 20})
      expect_definition(causal_attention, {6, 2, head_dim, 0.2f, 0}, GetParam(), tokens, 67);
}

// More rows of queries than a kernel takes at once, more keys than a piece has, in both ways to compute it.
TEST_P(Attention, ManyHeadsAndLongContexts) {
  for (const int64_t tokens : {int64_t{1}, kFewQueries})
    for (const int64_t past : {kKeysPerPiece - 1, kKeysPerPiece, 3 * kKeysPerPiece + 5})
      for (const int64_t window : {int64_t{0}, kKeysPerPiece + 3}) {
        const AttentionShape shape{20, 1, 16, 0.25f, window};
        expect_definition(causal_attention, shape, GetParam(), tokens, past);
        expect_definition(tiled_attention, shape, GetParam(), tokens, past);
      }
}

TEST_P(Attention, SameBitsForEveryThreadCount) {
  const AttentionShape shape{8, 2, 64, 0.125f, 0};
  for (const int64_t tokens : {1, 6, 200}) {
    const auto q = random_matrix(tokens, 8 * 64, 1);
    const Stored k(GetParam(), 900 + tokens, 2, 64, 2), v(GetParam(), 900 + tokens, 2, 64, 3);
    std::vector<Matrix<float>> results;
    for (const int threads : {1, 2, 3, 16}) {
      set_thread_count(threads);
      results.emplace_back(tokens, 8 * 64);
      causal_attention(shape, q.view(), k.view, v.view, results.back().view());
    }
    for (const auto& result : results)
      EXPECT_EQ(0, std::memcmp(result.data(), results[0].data(), result.values().size_bytes())) << tokens;
  }
}

// Scores of several hundred: the maximum must be subtracted, also when it grows from block to block.
TEST_P(Attention, LargeScores) {
  const AttentionShape shape{2, 1, 8, 1.0f, 0};
  for (const int64_t tokens : {1, 12}) {
    const int64_t keys = 700;
    Matrix<float> q(tokens, 16), out(tokens, 16);
    for (float& value : q.values()) value = 1.0f;
    Stored k(GetParam(), keys, 1, 8, 1), v(GetParam(), keys, 1, 8, 2);
    for (int64_t j = 0; j < keys; ++j)
      for (int64_t d = 0; d < 8; ++d) k.values(j, d) = static_cast<float>(j / 8);  // exact in each type
    k.store();
    causal_attention(shape, q.view(), k.view, v.view, out.view());
    // Eight keys share the largest score of a token, or fewer where it stands among them; the next are 8 below.
    const auto reference = reference_attention(shape, q, k.values, v.values);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t c = 0; c < 16; ++c) EXPECT_NEAR(out(t, c), reference.out(t, c), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Cache, Attention, testing::Values(DType::f32, DType::f16, DType::bf16),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

constexpr AttentionKernels kEmulated16 = {"emulated16", simd::Attention<simd::Emulated<16>>::attend,
                                          simd::Attention<simd::Emulated<16>>::softmax_step,
                                          simd::Attention<simd::Emulated<16>>::narrow};

std::vector<const AttentionKernels*> tables() {
  auto tables = usable_tables<AttentionKernels>();
  tables.push_back(&kEmulated16);
  return tables;
}

class AttentionKernelsTest : public testing::TestWithParam<const AttentionKernels*> {};

TEST_P(AttentionKernelsTest, RowsThatSeeDifferentKeys) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const int64_t head_dim : {3, 16, 24, 64, 72})
      for (const int64_t rows : {1, 2, 4, 7, 16}) {
        const int64_t keys = 150;
        const auto q = random_matrix(rows, head_dim, 1);
        const Stored k(dtype, keys, 1, head_dim, 2), v(dtype, keys, 1, head_dim, 3);
        std::vector<int64_t> from(rows), to(rows);
        for (int64_t r = 0; r < rows; ++r) from[r] = r * 9 - 20, to[r] = r == 3 ? from[r] : 200 - r * 13;
        Matrix<float> out(rows, head_dim);
        std::vector<float> maximum(rows, kPoison), sum(rows, kPoison);
        for (float& value : out.values()) value = kPoison;
        GetParam()->attend({.dtype = dtype,
                            .keys = k.view.data,
                            .values = v.view.data,
                            .row_bytes = k.view.row_bytes(),
                            .count = keys,
                            .head_dim = head_dim,
                            .q = q.data(),
                            .rows = rows,
                            .from = from.data(),
                            .to = to.data(),
                            .out = out.data(),
                            .maximum = maximum.data(),
                            .sum = sum.data()});
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t first = std::clamp<int64_t>(from[r], 0, keys), last = std::clamp<int64_t>(to[r], first, keys);
          std::vector<double> expected(head_dim, 0.0), scores;
          double total = 0, error = 0;
          for (int64_t j = first; j < last; ++j) {
            const auto score = dot_reference(&q(r, 0), &k.values(j, 0), head_dim);
            scores.push_back(score.value);
            error = std::max(error, dot_tolerance(score, head_dim));
          }
          if (first == last) {
            EXPECT_EQ(maximum[r], -std::numeric_limits<float>::infinity());
            EXPECT_EQ(sum[r], 0.0f);
          } else {
            EXPECT_NEAR(maximum[r], *std::max_element(scores.begin(), scores.end()), error);
          }
          for (int64_t j = first; j < last; ++j) {
            const double weight = std::exp(scores[j - first] - maximum[r]);
            total += weight;
            for (int64_t d = 0; d < head_dim; ++d) expected[d] += weight * v.values(j, d);
          }
          const double tolerance = (error + 4e-7 + 30 * 0x1p-24) * total;
          EXPECT_NEAR(sum[r], total, tolerance);
          for (int64_t d = 0; d < head_dim; ++d)
            ASSERT_NEAR(out(r, d), expected[d], tolerance)
                << rows << " rows of " << head_dim << " at " << r << "," << d;
        }
      }
}

// In two steps, of every length.
TEST_P(AttentionKernelsTest, SoftmaxStep) {
  for (int64_t count = 1; count <= 40; ++count) {
    auto scores = random_values(2 * count, count);
    for (int64_t k = count; k < 2 * count; ++k) scores[k] += 3.0f;
    const auto start = scores;
    float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
    GetParam()->softmax_step(scores.data(), count, &maximum, &sum);
    const float first_maximum = maximum;
    EXPECT_EQ(maximum, *std::max_element(start.begin(), start.begin() + count));
    const float correction = GetParam()->softmax_step(scores.data() + count, count, &maximum, &sum);
    EXPECT_EQ(maximum, *std::max_element(start.begin(), start.end()));
    EXPECT_NEAR(correction, std::exp(static_cast<double>(first_maximum) - maximum), 4e-7);
    double total = 0;
    for (int64_t k = 0; k < 2 * count; ++k) {
      const double exact = std::exp(static_cast<double>(start[k]) - maximum);
      total += exact;
      EXPECT_NEAR(scores[k] * (k < count ? correction : 1.0f), exact, 6e-7 * exact) << count << " at " << k;
    }
    EXPECT_NEAR(sum, total, 1e-6 * total);
  }
}

// Against the conversion of single values in base/: ties, subnormals, overflow, infinities, NaN.
TEST_P(AttentionKernelsTest, NarrowsAsTheScalarConversion) {
  std::vector<float> values = {0.0f,
                               -0.0f,
                               1.0f,
                               -1.5f,
                               65504.0f,
                               65519.0f,
                               65520.0f,
                               -70000.0f,
                               3e38f,
                               0x1p-24f,
                               0x1p-25f,
                               0x1.8p-25f,
                               0x1p-133f,
                               0x1p-140f,
                               0x1.01p0f,
                               0x1.03p0f,
                               0x1.002p0f,
                               0x1.006p0f,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity()};
  const auto more = random_values(53, 1);
  values.insert(values.end(), more.begin(), more.end());
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (size_t count = 0; count <= values.size(); ++count) {
      const std::vector<float> part(values.end() - static_cast<std::ptrdiff_t>(count), values.end());
      const size_t bytes = count * dtype_bytes(dtype);
      std::vector<std::byte> target(bytes + 9, std::byte{0x5a});
      GetParam()->narrow(dtype, part.data(), target.data() + 1, static_cast<int64_t>(count));
      const auto expected = stored(dtype, part);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), target.begin() + 1))
          << dtype_name(dtype) << " " << count;
      for (size_t i = bytes + 1; i < target.size(); ++i)
        EXPECT_EQ(target[i], std::byte{0x5a}) << "wrote beyond the row";
    }
  float nan = kPoison, back[1];
  for (const DType dtype : {DType::f16, DType::bf16}) {
    std::byte word[2];
    GetParam()->narrow(dtype, &nan, word, 1);
    convert_to_f32(dtype, word, back);
    EXPECT_TRUE(std::isnan(back[0]));
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, AttentionKernelsTest, testing::ValuesIn(tables()),
                         [](const auto& instance) { return std::string(instance.param->isa); });

// Against the scalar conversion, token by token and head by head; nothing else is touched.
TEST(StoreKv, PlacesEveryHead) {
  const int64_t heads = 3, head_dim = 5, capacity = 9;
  const auto rows = random_matrix(4, heads * head_dim, 1);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const KvView place{dtype, nullptr, capacity, head_dim, capacity};
    std::vector<std::byte> data(heads * capacity * place.row_bytes(), std::byte{0x5a}), expected = data;
    for (int64_t t = 0; t < 4; ++t)
      for (int64_t head = 0; head < heads; ++head)
        convert_from_f32(dtype, rows.row(t).subspan(head * head_dim, head_dim),
                         expected.data() + (head * capacity + 2 + t) * place.row_bytes());
    store_kv(rows.view(), place, 2, data.data());
    EXPECT_EQ(data, expected) << dtype_name(dtype);
  }
}

TEST(NarrowRows, TakesStridedRows) {
  const auto source = random_matrix(5, 19, 1);
  std::vector<std::byte> target(5 * 7 * 2);
  narrow_rows(source.view().cols_from(3, 7), DType::f16, target.data());
  for (int64_t t = 0; t < 5; ++t) {
    const auto row = source.row(t).subspan(3, 7);
    const auto expected = stored(DType::f16, {row.begin(), row.end()});
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), target.begin() + t * 14)) << t;
  }
}

}  // namespace
}  // namespace esparse
