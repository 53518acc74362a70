// From products to heads, against plain loops in double.
#include "kernels/cuda/heads.h"

#include <array>
#include <cmath>
#include <optional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

struct Sizes {
  int tokens, heads, kv_heads, head_dim;
  bool norm, rotate;
};

class Problem {
 public:
  explicit Problem(const Sizes& sizes) : s_(sizes) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& values, int64_t count) {
      values.resize(static_cast<size_t>(count));
      for (float& value : values) value = normal(random);
    };
    fill(qkv_, int64_t{s_.tokens} * all() * s_.head_dim);
    fill(q_gain_, s_.head_dim), fill(k_gain_, s_.head_dim);
    fill(cosine_, kCapacity * s_.head_dim / 2), fill(sine_, kCapacity * s_.head_dim / 2);
    for (int t = 0; t < s_.tokens; ++t) positions_.push_back(4 + 2 * t);
    device_qkv_.emplace(qkv_), device_q_gain_.emplace(q_gain_), device_k_gain_.emplace(k_gain_);
    device_cosine_.emplace(cosine_), device_sine_.emplace(sine_), device_positions_.emplace(positions_);
    device_q_.emplace(static_cast<size_t>(s_.tokens * s_.heads * s_.head_dim));
    device_keys_.emplace(static_cast<size_t>(s_.kv_heads * kCapacity * s_.head_dim));
    device_values_.emplace(device_keys_->size());
  }

  HeadsArgs args() {
    return {.qkv = device_qkv_->data(),
            .q_gain = s_.norm ? device_q_gain_->data() : nullptr,
            .k_gain = s_.norm ? device_k_gain_->data() : nullptr,
            .cosine = s_.rotate ? device_cosine_->data() : nullptr,
            .sine = s_.rotate ? device_sine_->data() : nullptr,
            .positions = device_positions_->data(),
            .q = device_q_->data(),
            .keys = device_keys_->data(),
            .values = device_values_->data(),
            .type = Element::f32,
            .capacity = kCapacity,
            .tokens = s_.tokens,
            .heads = s_.heads,
            .kv_heads = s_.kv_heads,
            .head_dim = s_.head_dim,
            .eps = 1e-6f};
  }

  void check() {
    q_ = device_q_->values(), keys_ = device_keys_->values(), values_ = device_values_->values();
    int64_t written = 0;
    for (int t = 0; t < s_.tokens; ++t)
      for (int head = 0; head < all(); ++head) {
        const std::vector<double> expected = reference(t, head);
        const float* got = target(t, head);
        for (int k = 0; k < s_.head_dim; ++k) ASSERT_NEAR(got[k], expected[k], 1e-5) << t << " " << head << " " << k;
        written += head < s_.heads ? 0 : s_.head_dim;
      }
    int64_t found = 0;
    for (const auto* rows : {&keys_, &values_})
      for (const float value : *rows) found += !std::isnan(value);
    EXPECT_EQ(found, written) << "rows of other positions stay as they were";
  }

 private:
  static constexpr int64_t kCapacity = 16;
  int all() const { return s_.heads + 2 * s_.kv_heads; }

  const float* target(int t, int head) const {
    if (head < s_.heads) return q_.data() + (t * s_.heads + head) * s_.head_dim;
    const bool key = head < s_.heads + s_.kv_heads;
    const int kv_head = head - s_.heads - (key ? 0 : s_.kv_heads);
    return (key ? keys_ : values_).data() + (kv_head * kCapacity + positions_[t]) * s_.head_dim;
  }

  std::vector<double> reference(int t, int head) const {
    const float* x = qkv_.data() + (t * all() + head) * s_.head_dim;
    std::vector<double> y(x, x + s_.head_dim);
    if (head >= s_.heads + s_.kv_heads) return y;
    if (s_.norm) {
      double squares = 0;
      for (const double value : y) squares += value * value;
      const auto& gain = head < s_.heads ? q_gain_ : k_gain_;
      for (int k = 0; k < s_.head_dim; ++k) y[k] *= gain[k] / std::sqrt(squares / s_.head_dim + 1e-6);
    }
    const int half = s_.head_dim / 2;
    for (int k = 0; s_.rotate && k < half; ++k) {
      const double a = y[k], b = y[k + half], c = cosine_[positions_[t] * half + k],
                   s = sine_[positions_[t] * half + k];
      y[k] = a * c - b * s, y[k + half] = b * c + a * s;
    }
    return y;
  }

  Sizes s_;
  std::vector<float> qkv_, q_gain_, k_gain_, cosine_, sine_, q_, keys_, values_;
  std::vector<int32_t> positions_;
  std::optional<TestArray<float>> device_qkv_, device_q_gain_, device_k_gain_, device_cosine_, device_sine_, device_q_,
      device_keys_, device_values_;
  std::optional<TestArray<int32_t>> device_positions_;
};

TEST(CudaHeads, PrepareMatchesDouble) {
  for (const int head_dim : {2, 12, 64, 128})
    for (const bool norm : {false, true})
      for (const bool rotate : {false, true})
        for (const auto& [tokens, heads, kv_heads] : {std::array{1, 1, 1}, {3, 4, 2}, {2, 7, 1}}) {
          Problem problem({tokens, heads, kv_heads, head_dim, norm, rotate});
          ASSERT_TRUE(launched(test_backend().heads->prepare(problem.args(), test_stream())));
          problem.check();
        }
}

}  // namespace
}  // namespace esparse::cuda
