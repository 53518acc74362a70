// Dense products of the library, and 2:4 ones of the sparse library, against sums in double.
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/sparse_library.h"
#include "kernels/cuda/test_backend.h"
#include "support/status_testing.h"

namespace esparse::cuda {
namespace {

float value_of(float x) { return x; }
float value_of(bf16 x) { return to_f32(x); }
float value_of(f16 x) { return to_f32(x); }
void store(float x, float& y) { y = x; }
void store(float x, bf16& y) { y = to_bf16(x); }
void store(float x, f16& y) { y = to_f16(x); }

template <typename T>
constexpr Element element_of() {
  return std::is_same_v<T, float> ? Element::f32 : std::is_same_v<T, f16> ? Element::f16 : Element::bf16;
}
// Off by rounding once to T.
template <typename T>
double rounding() {
  return std::is_same_v<T, float> ? 0x1p-24 : std::is_same_v<T, f16> ? 0x1p-11 : 0x1p-8;
}

template <typename T>
std::vector<T> random_values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) store(uniform(random), value);
  return values;
}

struct Sum {
  double value = 0, magnitude = 0;
};
template <typename T>
Sum dot(const T* x, const T* w, int64_t count) {
  Sum sum;
  for (int64_t k = 0; k < count; ++k) {
    const double product = double{value_of(x[k])} * value_of(w[k]);
    sum.value += product, sum.magnitude += std::abs(product);
  }
  return sum;
}

struct Shape {
  int64_t tokens, in, out;
};

// With strides wider than the rows, whose ends must stay as they were.
template <typename T, typename Y>
void check_gemm(const Shape& shape, bool add) {
  const int64_t x_stride = shape.in + 8, w_stride = shape.in, y_stride = shape.out + 16;
  const std::vector<T> x = random_values<T>(shape.tokens * x_stride, 1);
  const std::vector<T> w = random_values<T>(shape.out * w_stride, 2);
  const std::vector<Y> before = random_values<Y>(shape.tokens * y_stride, 3);
  const TestArray<T> device_x(x), device_w(w);
  const TestArray<Y> device_y(before);
  const GemmArgs args{device_x.data(), device_w.data(), device_y.data(), shape.tokens,    shape.in,        shape.out,
                      x_stride,        w_stride,        y_stride,        element_of<T>(), element_of<Y>(), add};
  ASSERT_OK(test_backend().gemm->gemm(args, test_stream()));
  const std::vector<Y> y = device_y.values();
  for (int64_t t = 0; t < shape.tokens; ++t)
    for (int64_t o = 0; o < y_stride; ++o) {
      const float old = value_of(before[t * y_stride + o]), got = value_of(y[t * y_stride + o]);
      if (o >= shape.out) {
        ASSERT_EQ(got, old) << "between rows";
        continue;
      }
      Sum sum = dot(&x[t * x_stride], &w[o * w_stride], shape.in);
      if (add) sum.value += old;
      const double allowed =
          static_cast<double>(shape.in) * 0x1p-24 * (sum.magnitude + 1) + rounding<Y>() * std::abs(sum.value);
      ASSERT_NEAR(got, sum.value, allowed)
          << t << " " << o << " of " << shape.tokens << "x" << shape.in << "x" << shape.out;
    }
}

TEST(CudaGemm, MatchesDouble) {
  for (const Shape& shape : {Shape{1, 64, 64}, {3, 40, 24}, {17, 128, 48}})
    for (const bool add : {false, true}) {
      check_gemm<bf16, float>(shape, add);
      check_gemm<bf16, bf16>(shape, add);
      check_gemm<f16, float>(shape, add);
      check_gemm<f16, f16>(shape, add);
      check_gemm<float, float>(shape, add);
    }
}

// The search runs products many times, into memory of its own.
TEST(CudaGemm, SearchLeavesTheResultAlone) {
  test_backend().gemm->set_search({true, {}});
  check_gemm<bf16, float>({16, 256, 128}, true);
  check_gemm<bf16, float>({16, 256, 128}, true);
  test_backend().gemm->set_search({});
}

TEST(CudaGemm, RefusesAnOutputOfAnotherType) {
  GemmArgs args;
  args.type = Element::bf16, args.y_type = Element::f16;
  EXPECT_FAILURE(test_backend().gemm->gemm(args, test_stream()), StatusKind::internal, "neither f32");
}

std::vector<bf16> random_2_4(int64_t out, int64_t in) {
  std::vector<bf16> w = random_values<bf16>(out * in, 5);
  std::mt19937 random(6);
  for (size_t group = 0; group < w.size(); group += 4) {
    const size_t first = random() % 4, second = (first + 1 + random() % 3) % 4;
    w[group + first] = w[group + second] = bf16{0};
  }
  return w;
}

TEST(CudaSparseLibrary, MatchesDouble) {
  const SparseLibrary& library = *test_backend().sparse_library;
  if (const auto version = library.version(); !version.ok()) GTEST_SKIP() << version.status().message();
  for (const Shape& shape : {Shape{8, 64, 32}, {16, 128, 64}, {64, 256, 128}}) {
    const std::vector<bf16> w = random_2_4(shape.out, shape.in);
    const std::vector<bf16> x = random_values<bf16>(shape.tokens * shape.in, 7);
    const TestArray<bf16> device_w(w), device_x(x);
    const TestArray<bf16> y(static_cast<size_t>(shape.tokens * shape.out));
    const auto weight = library.compress(device_w.data(), shape.out, shape.in, Element::bf16, test_stream());
    ASSERT_OK(weight);
    EXPECT_LT((*weight)->bytes(), shape.out * shape.in * 2);
    const LibraryProduct product{device_x.data(), y.data(), shape.tokens, shape.in, shape.out, false};
    ASSERT_OK(library.multiply(**weight, product, test_stream()));
    const std::vector<bf16> got = y.values();
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t o = 0; o < shape.out; ++o) {
        const Sum sum = dot(&x[t * shape.in], &w[o * shape.in], shape.in);
        ASSERT_NEAR(to_f32(got[t * shape.out + o]), sum.value, 1e-5 * sum.magnitude + 0x1p-8 * std::abs(sum.value));
      }
  }
}

TEST(CudaSparseLibrary, RefusesWhatDoesNotSuit) {
  const SparseLibrary& library = *test_backend().sparse_library;
  if (const auto version = library.version(); !version.ok()) GTEST_SKIP() << version.status().message();
  const TestArray<bf16> dense(random_values<bf16>(32 * 64, 8));
  EXPECT_FAILURE(library.compress(dense.data(), 32, 64, Element::bf16, test_stream()), StatusKind::invalid_argument,
                 "expected a 2:4 weight");
  EXPECT_FAILURE(library.compress(dense.data(), 24, 64, Element::bf16, test_stream()), StatusKind::unsupported,
                 "24 x 64");
  EXPECT_FAILURE(library.compress(dense.data(), 32, 64, Element::f32, test_stream()), StatusKind::unsupported, "f32");
  const TestArray<bf16> w(random_2_4(32, 64));
  const auto weight = library.compress(w.data(), 32, 64, Element::bf16, test_stream());
  ASSERT_OK(weight);
  const LibraryProduct product{dense.data(), dense.data(), 3, 64, 32, false};
  EXPECT_FAILURE(library.multiply(**weight, product, test_stream()), StatusKind::unsupported, "multiples of 8, got 3");
}

}  // namespace
}  // namespace esparse::cuda
