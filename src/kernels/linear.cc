#include "kernels/linear.h"

#include <algorithm>

#include "kernels/bf16_gemm.h"
#include "kernels/dense_gemm.h"
#include "kernels/few.h"
#include "kernels/sparse_gemm.h"
#include "kernels/spense_regions.h"

namespace esparse {
namespace {

const DenseView& rows_of(const DenseView& weight) { return weight; }
BitRowsView rows_of(const NmView& weight) { return bit_rows(weight); }
BitRowsView rows_of(const BitmapView& weight) { return bit_rows(weight); }
const NmTilesView& rows_of(const NmTilesView& weight) { return weight; }
const SpenseView& rows_of(const SpenseView& weight) { return weight; }

// Of what sparse_gemm would multiply.
double density(const DenseView&) { return 1.0; }
double density(const NmView& weight) { return static_cast<double>(weight.pattern.kept) / weight.pattern.group; }
double density(const NmTilesView& weight) { return static_cast<double>(weight.pattern.kept) / weight.pattern.group; }
double density(const BitmapView& weight) {
  return static_cast<double>(weight.kept()) /
         static_cast<double>(std::max<int64_t>(1, weight.out_features * weight.in_features));
}
double density(const SpenseView& weight) { return weight.pattern().density(); }
// Up to which density sparse_gemm is the faster way for many tokens (docs/benchmarks/prefill.md). In f32 and for tiles
// it gains 1.5 and 1.3 times at 1/2, nothing at 3/4. Where dense_gemm multiplies pairs of bf16, rows of bits, which
// sparse_gemm multiplies in f32, break even between 0.3 and 0.4.
constexpr double kMostDensity = 0.625, kMostDensityBesidePairs = 0.35;

double most_density(const DenseView&) { return 0; }
double most_density(const NmTilesView&) { return kMostDensity; }
template <typename View>
double most_density(const View& weight) {
  return weight.dtype == DType::bf16 && has_bf16_gemm() ? kMostDensityBesidePairs : kMostDensity;
}
double most_density(const SpenseView& weight) {
  return std::visit([](const auto& region) { return most_density(region); }, weight.sparse);
}

bool multiplies_kept(const DenseView&) { return false; }
bool multiplies_kept(const NmTilesView& weight) { return has_sparse_gemm(weight); }
template <typename View>
bool multiplies_kept(const View&) {
  return true;
}
bool multiplies_kept(const SpenseView& weight) {
  return std::visit([](const auto& region) { return multiplies_kept(region); }, weight.sparse);
}

template <typename View>
void multiply_kept(const View& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  sparse_gemm(rows_of(weight), x, bias, y);
}
void multiply_kept(const DenseView& weight, MatrixView<const float> x, std::span<const float> bias,
                   MatrixView<float> y) {
  dense_gemm(weight, x, bias, y);  // keeps everything
}
void multiply_kept(const SpenseView& weight, MatrixView<const float> x, std::span<const float> bias,
                   MatrixView<float> y) {
  for_each_region(
      weight, x, bias, y, [](const auto&... arguments) { multiply_kept(arguments...); },
      [](const auto&... arguments) { dense_gemm(arguments...); });
}

}  // namespace

std::vector<LinearPath> possible_paths(const WeightView& weight, int64_t tokens) {
  std::vector<LinearPath> paths;
  if (tokens <= kMaxFewTokens) paths.push_back(LinearPath::few);
  // One token fills no vector.
  if (tokens >= 2 && std::visit([](const auto& view) { return multiplies_kept(view); }, weight))
    paths.push_back(LinearPath::sparse_gemm);
  paths.push_back(LinearPath::dense_gemm);
  return paths;
}

LinearPlan default_plan(const WeightView& weight) {
  const bool gathers = current_isa() >= Isa::avx2 &&
                       std::visit([](const auto& view) { return density(view) <= most_density(view); }, weight);
  LinearPlan plan;
  for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket)
    plan.paths[bucket] = kTokenBuckets[bucket] <= kMaxFewTokens ? LinearPath::few
                         : gathers                              ? LinearPath::sparse_gemm
                                                                : LinearPath::dense_gemm;
  return plan;
}

void linear(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y,
            const LinearPlan& plan) {
  ESPARSE_CHECK(x.cols == weight_in_features(weight) && y.cols == weight_out_features(weight) && x.rows == y.rows);
  ESPARSE_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == y.cols);
  switch (plan.path(x.rows)) {
    case LinearPath::few:
      return std::visit([&](const auto& view) { few_linear(rows_of(view), x, bias, y); }, weight);
    case LinearPath::sparse_gemm:
      return std::visit([&](const auto& view) { multiply_kept(view, x, bias, y); }, weight);
    case LinearPath::dense_gemm:
      return dense_gemm(weight, x, bias, y);
  }
}

void linear(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  linear(weight, x, bias, y, default_plan(weight));
}

}  // namespace esparse
