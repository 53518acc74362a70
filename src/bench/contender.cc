#include "bench/contender.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

#include "bench/onednn_matmul.h"
#include "kernels/linear.h"
#include "runtime/kernel_names.h"

namespace esparse {
namespace {

LinearPlan only(LinearPath path) {
  LinearPlan plan;
  plan.paths.fill(path);
  return plan;
}

struct Sum {
  double value = 0, magnitude = 0;
};

Sum exact_output(std::span<const float> weights, std::span<const float> x) {
  Sum sum;
  for (size_t i = 0; i < x.size(); ++i) {
    const double product = static_cast<double>(weights[i]) * x[i];
    sum.value += product;
    sum.magnitude += std::abs(product);
  }
  return sum;
}

// f32 sums of n products in blocks are off by less than (n / 8 + 8) 2^-24 of the sum of magnitudes. bf16 kernels may
// round x to bf16, which is off by 2^-8 of each product at most; f16 ones to f16, 2^-11 and a little near zero.
double tolerance(DType dtype, const Sum& exact, int64_t products) {
  const double rounded_input = dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f16 ? 0x1p-11 : 0;
  return ((static_cast<double>(products) / 8 + 8) * 0x1p-24 + rounded_input) * exact.magnitude;
}

// `count` indices below `size`, the first and the last among them.
std::vector<int64_t> spread(int64_t size, int64_t count) {
  std::vector<int64_t> indices;
  count = std::min(size, count);
  for (int64_t i = 0; i < count; ++i) indices.push_back(count == 1 ? 0 : i * (size - 1) / (count - 1));
  return indices;
}

}  // namespace

Product::Product(const Matrix<float>& values_in, int64_t tokens)
    : values(values_in), x(tokens, values_in.cols()), y(tokens, values_in.rows()) {
  std::minstd_rand random(1);
  for (float& value : x.values()) value = static_cast<float>(random() >> 7) * 0x1p-23f - 1.0f;
}

std::vector<Contender> linear_contenders(ColdWeights& weights, Product& product) {
  std::vector<Contender> contenders;
  for (const LinearPath path : possible_paths(weights.any(), product.x.rows()))
    contenders.push_back({kernel_name(weights.any(), path),
                          [&weights, &product, plan = only(path)] {
                            linear(weights.next(), product.x.view(), {}, product.y.view(), plan);
                          },
                          weights.weight_bytes()});
  return contenders;
}

std::vector<Contender> onednn_contenders(DType dtype, Product& product) {
  std::vector<DType> types = {DType::f32};
  if (dtype != DType::f32) types.push_back(dtype);
  std::vector<Contender> contenders;
  for (const DType type : types) {
    std::shared_ptr<OneDnnMatmul> matmul =
        OneDnnMatmul::create(type, product.values, product.x.view(), product.y.view());
    if (matmul != nullptr)
      contenders.push_back({matmul->kernel(), [matmul] { matmul->run(); }, matmul->weight_bytes()});
  }
  return contenders;
}

Status check_product(const std::string& kernel, DType dtype, const BenchPattern& pattern, const Product& product,
                     const OutputRounding& rounding) {
  constexpr int64_t kRows = 32, kTokens = 4;
  int64_t zeros = 0, looked_at = 0;
  for (const int64_t row : spread(product.y.cols(), kRows)) {
    std::vector<float> weights(product.values.row(row).begin(), product.values.row(row).end());
    apply_pattern(pattern, product.y.cols(), row, weights);
    for (const int64_t token : spread(product.y.rows(), kTokens)) {
      const Sum exact = exact_output(weights, product.x.row(token));
      const double got = product.y(token, row);
      const double allowed = tolerance(dtype, exact, product.x.cols()) +
                             rounding.unit * (std::abs(exact.value) + (rounding.of_parts ? exact.magnitude : 0));
      if (!(std::abs(got - exact.value) <= allowed))
        return internal_error("{}: wrong result at token {}, row {}: expected {}, got {}", kernel, token, row,
                              exact.value, got);
      zeros += got == 0;
      ++looked_at;
    }
  }
  if (2 * zeros > looked_at)
    return internal_error("{}: {} of {} outputs are zero: such a result proves nothing", kernel, zeros, looked_at);
  return {};
}

Status check_contender(const Contender& contender, DType dtype, const BenchPattern& pattern, Product& product) {
  std::fill(product.y.values().begin(), product.y.values().end(), std::numeric_limits<float>::quiet_NaN());
  contender.run();
  return check_product(contender.kernel, dtype, pattern, product);
}

}  // namespace esparse
