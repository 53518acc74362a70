// Attention against plain loops in double over the rounded inputs.
#include "kernels/cuda/attention.h"

#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

DType dtype_of(Element type) {
  return type == Element::f32 ? DType::f32 : type == Element::f16 ? DType::f16 : DType::bf16;
}

struct Case {
  int rows, position, heads, kv_heads, head_dim, window;
  Element type;
};

// Random queries, keys and values; what nobody has written of the cache is NaN.
class Problem {
 public:
  Problem(const Case& one, uint32_t seed) : c_(one), random_(seed) {
    capacity_ = c_.position + c_.rows + 5;
    q_ = rounded(c_.rows * c_.heads * c_.head_dim, q_bytes_);
    keys_ = rounded(c_.kv_heads * capacity_ * c_.head_dim, key_bytes_);
    values_ = rounded(c_.kv_heads * capacity_ * c_.head_dim, value_bytes_);
    for (int head = 0; head < c_.kv_heads; ++head)
      for (int key = c_.position + c_.rows; key < capacity_; ++key)
        for (std::vector<std::byte>* bytes : {&key_bytes_, &value_bytes_})
          std::memset(bytes->data() + (head * capacity_ + key) * c_.head_dim * width(), 0xff, c_.head_dim * width());
    device_q_.emplace(q_bytes_), device_keys_.emplace(key_bytes_), device_values_.emplace(value_bytes_);
    device_position_.emplace(std::vector<int32_t>{c_.position});
    device_out_.emplace(static_cast<size_t>(c_.rows * c_.heads * c_.head_dim));
  }

  AttentionArgs args() {
    return {.q = device_q_->data(),
            .keys = device_keys_->data(),
            .values = device_values_->data(),
            .positions = device_position_->data(),
            .out = device_out_->data(),
            .type = c_.type,
            .out_type = Element::bf16,
            .capacity = capacity_,
            .rows = c_.rows,
            .heads = c_.heads,
            .kv_heads = c_.kv_heads,
            .head_dim = c_.head_dim,
            .window = c_.window,
            .scale = 1 / std::sqrt(static_cast<float>(c_.head_dim)),
            .partial = nullptr,
            .splits = 0,
            .split_keys = 0};
  }

  // Outputs are means of values below about 4: bf16 keeps them to 2^-9 relatively, and probabilities that are rounded
  // shift them by 2^-9 of the largest values.
  void check() {
    out_ = device_out_->values();
    for (int row = 0; row < c_.rows; ++row)
      for (int head = 0; head < c_.heads; ++head) {
        const std::vector<double> expected = reference(row, head);
        for (int k = 0; k < c_.head_dim; ++k) {
          const float got = to_f32(out_[(row * c_.heads + head) * c_.head_dim + k]);
          ASSERT_NEAR(got, expected[k], 0x1p-8 * std::abs(expected[k]) + (c_.type == Element::f32 ? 1e-5 : 0x1p-8))
              << "row " << row << ", head " << head << ", dimension " << k;
        }
      }
  }
  std::vector<bf16> out() const { return device_out_->values(); }

 private:
  int64_t width() const { return element_bytes(c_.type); }

  std::vector<float> rounded(int64_t count, std::vector<std::byte>& bytes) {
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random_);
    bytes.resize(static_cast<size_t>(count * width()));
    convert_from_f32(dtype_of(c_.type), values, bytes.data());
    convert_to_f32(dtype_of(c_.type), bytes.data(), values);
    return values;
  }

  std::vector<double> reference(int row, int head) const {
    const int last = c_.position + row, first = c_.window > 0 ? std::max(0, last - c_.window + 1) : 0;
    const int64_t kv = head / (c_.heads / c_.kv_heads) * capacity_;
    std::vector<double> p, result(static_cast<size_t>(c_.head_dim));
    double total = 0;
    for (int key = first; key <= last; ++key) {
      double score = 0;
      for (int k = 0; k < c_.head_dim; ++k)
        score += double{q_[(row * c_.heads + head) * c_.head_dim + k]} * keys_[(kv + key) * c_.head_dim + k];
      p.push_back(std::exp(score / std::sqrt(c_.head_dim)));
      total += p.back();
    }
    for (int key = first; key <= last; ++key)
      for (int k = 0; k < c_.head_dim; ++k) result[k] += p[key - first] / total * values_[(kv + key) * c_.head_dim + k];
    return result;
  }

  Case c_;
  std::mt19937 random_;
  int capacity_ = 0;
  std::vector<std::byte> q_bytes_, key_bytes_, value_bytes_;
  std::vector<float> q_, keys_, values_;
  std::vector<bf16> out_;
  std::optional<TestArray<std::byte>> device_q_, device_keys_, device_values_;
  std::optional<TestArray<int32_t>> device_position_;
  std::optional<TestArray<bf16>> device_out_;
};

const AttentionKernels& kernels() { return *test_backend().attention; }

TEST(CudaAttention, DecodeMatchesDouble) {
  uint32_t seed = 0;
  for (const int head_dim : {64, 80, 96, 128})
    for (const auto& [position, window, heads, kv_heads] : {std::array{0, 0, 4, 2},
                                                            {15, 0, 3, 3},
                                                            {16, 0, 8, 1},
                                                            {70, 0, 14, 2},
                                                            {133, 0, 4, 1},
                                                            {133, 40, 4, 1},
                                                            {200, 1, 2, 1},
                                                            {90, 500, 20, 1}})
      for (const Element type : {Element::bf16, Element::f16}) {
        SCOPED_TRACE(testing::Message() << head_dim << " position " << position << " window " << window << " heads "
                                        << heads << "/" << kv_heads);
        Problem problem({1, position, heads, kv_heads, head_dim, window, type}, ++seed);
        AttentionArgs args = problem.args();
        args.split_keys = 48, args.splits = 6;  // more than are needed
        const TestArray<float> partial(static_cast<size_t>(args.splits * heads * (head_dim + 2)));
        args.partial = partial.data();
        ASSERT_TRUE(launched(kernels().decode(args, test_stream())));
        problem.check();
      }
}

TEST(CudaAttention, PrefillMatchesDouble) {
  uint32_t seed = 100;
  for (const int head_dim : {64, 80, 96, 128})
    for (const auto& [rows, position, window, heads, kv_heads] : {std::array{1, 0, 0, 2, 1},
                                                                  {16, 0, 0, 1, 1},
                                                                  {65, 0, 0, 2, 1},
                                                                  {64, 64, 0, 1, 1},
                                                                  {3, 130, 0, 2, 2},
                                                                  {70, 11, 20, 2, 1},
                                                                  {2, 150, 1, 1, 1},
                                                                  {100, 40, 64, 1, 1}})
      for (const Element type : {Element::bf16, Element::f16}) {
        if (type == Element::f16 && head_dim != 128) continue;
        SCOPED_TRACE(testing::Message() << head_dim << " rows " << rows << " position " << position << " window "
                                        << window);
        Problem problem({rows, position, heads, kv_heads, head_dim, window, type}, ++seed);
        ASSERT_TRUE(launched(kernels().prefill(problem.args(), test_stream())));
        problem.check();
      }
}

TEST(CudaAttention, GeneralMatchesDouble) {
  uint32_t seed = 200;
  for (const int head_dim : {1, 8, 12, 33, 256})
    for (const auto& [rows, position, window] : {std::array{1, 0, 0}, {1, 300, 0}, {5, 126, 0}, {6, 140, 9}})
      for (const Element type : {Element::bf16, Element::f16, Element::f32}) {
        SCOPED_TRACE(testing::Message() << head_dim << " rows " << rows << " position " << position);
        Problem problem({rows, position, 4, 2, head_dim, window, type}, ++seed);
        ASSERT_TRUE(launched(kernels().general(problem.args(), test_stream())));
        problem.check();
      }
}

// Splits that are not needed, or of another number of launches, leave the bits alone.
TEST(CudaAttention, UnneededSplitsDoNotMatter) {
  std::vector<bf16> before;
  for (const int splits : {3, 9}) {
    Problem problem({1, 100, 4, 2, 64, 0, Element::bf16}, 7);
    AttentionArgs args = problem.args();
    args.split_keys = 48, args.splits = splits;
    const TestArray<float> partial(static_cast<size_t>(splits * 4 * 66));
    args.partial = partial.data();
    ASSERT_TRUE(launched(kernels().decode(args, test_stream())));
    const std::vector<bf16> out = problem.out();
    for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].bits, out[i].bits);
    before = out;
  }
}

}  // namespace
}  // namespace esparse::cuda
