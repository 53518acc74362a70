#include "kernels/linear.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "kernels/isa.h"
#include "kernels/reference.h"

namespace esparse {
namespace {

using namespace testing_support;

enum class Form { dense, nm, bitmap };

struct Case {
  DType dtype;
  Form form;
};

// A weight of one form made from rows that obey `pattern`.
struct FormedWeight {
  FormedWeight(Case wanted, NmPattern pattern, const std::vector<float>& values, int64_t out, int64_t in)
      : bytes(stored(wanted.dtype, values)) {
    view = DenseView{wanted.dtype, out, in, bytes.data()};
    if (wanted.form == Form::nm) {
      nm = pack_nm(pattern, wanted.dtype, bytes, out, in).value();
      view = nm.view();
    } else if (wanted.form == Form::bitmap) {
      bitmap = pack_bitmap(wanted.dtype, bytes, out, in).value();
      view = bitmap.view();
    }
  }
  std::vector<std::byte> bytes;
  NmMatrix nm;
  BitmapMatrix bitmap;
  WeightView view;
};

class LinearTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { set_thread_count(2); }
};

// y against double loops, for token counts on both sides of the few/many border and rows that fill no tile.
TEST_P(LinearTest, AgreesWithReference) {
  const NmPattern pattern{4, 8};
  for (const int64_t out : {1, 7, 64, 65, 200})
    for (const int64_t in : {3, 8, 12, 64, 135, 172})
      for (const int64_t tokens : {1, 2, 6, 7, 16, 33}) {
        auto values = random_values(out * in, out + in);
        if (GetParam().form != Form::dense) make_nm(values, in, pattern, 5);
        values = rounded(GetParam().dtype, values);
        const FormedWeight weight(GetParam(), pattern, values, out, in);
        const auto x = random_values(tokens * in, 3), bias = random_values(out, 4);
        Matrix<float> y(tokens, out);
        for (float& value : y.values()) value = std::numeric_limits<float>::quiet_NaN();
        linear(weight.view, MatrixView<const float>(x.data(), tokens, in), bias, y.view());
        // With AVX-512 BF16 several kernels for bf16 weights round the inputs to bf16.
        const bool rounds = current_isa() == Isa::avx512_bf16 && GetParam().dtype == DType::bf16;
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t o = 0; o < out; ++o) {
            auto reference = dot_reference(values.data() + o * in, x.data() + t * in, in);
            reference.value += bias[o];
            reference.magnitude += std::abs(bias[o]);
            ASSERT_NEAR(y(t, o), reference.value,
                        dot_tolerance(reference, in) + (rounds ? 0x1p-8 * reference.magnitude : 0))
                << out << "x" << in << " tokens " << tokens << " at " << t << "," << o;
          }
      }
}

TEST_P(LinearTest, SameBitsForEveryThreadCount) {
  const int64_t out = 700, in = 258;  // not a whole number of groups
  auto values = random_values(out * in, 1);
  make_nm(values, in, {2, 4}, 2);
  const FormedWeight weight(GetParam(), {2, 4}, values, out, in);
  for (const int64_t tokens : {1, 3, 130, 600}) {
    const auto x = random_values(tokens * in, 3);
    std::vector<Matrix<float>> results;
    for (const int threads : {1, 2, 3, 5}) {
      set_thread_count(threads);
      results.emplace_back(tokens, out);
      linear(weight.view, MatrixView<const float>(x.data(), tokens, in), {}, results.back().view());
    }
    for (size_t i = 1; i < results.size(); ++i)
      EXPECT_EQ(0, std::memcmp(results[0].data(), results[i].data(), results[0].values().size_bytes()))
          << tokens << " tokens, variant " << i;
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    for (const Form form : {Form::dense, Form::nm, Form::bitmap}) cases.push_back({dtype, form});
  return cases;
}

std::string case_name(const testing::TestParamInfo<Case>& instance) {
  constexpr const char* kForms[] = {"_dense", "_nm", "_bitmap"};
  return std::string(dtype_name(instance.param.dtype)) + kForms[static_cast<int>(instance.param.form)];
}

INSTANTIATE_TEST_SUITE_P(Weights, LinearTest, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace esparse
