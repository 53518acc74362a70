#include "kernels/linear.h"

#include <algorithm>

#include "kernels/dense_gemm.h"
#include "kernels/few.h"
#include "kernels/sparse_gemm.h"

namespace esparse {
namespace {

const DenseView& rows_of(const DenseView& weight) { return weight; }
BitRowsView rows_of(const NmView& weight) { return bit_rows(weight); }
BitRowsView rows_of(const BitmapView& weight) { return bit_rows(weight); }
const NmTilesView& rows_of(const NmTilesView& weight) { return weight; }

double density(const DenseView&) { return 1.0; }
double density(const NmView& weight) { return static_cast<double>(weight.pattern.kept) / weight.pattern.group; }
double density(const NmTilesView& weight) { return static_cast<double>(weight.pattern.kept) / weight.pattern.group; }
double density(const BitmapView& weight) {
  return static_cast<double>(weight.kept()) /
         static_cast<double>(std::max<int64_t>(1, weight.out_features * weight.in_features));
}
double density(const WeightView& weight) {
  return std::visit([](const auto& view) { return density(view); }, weight);
}

// Where sparse_gemm is clearly faster than dense_gemm: 1.5 times at 1/2, 1.05 at 3/4
// (docs/benchmarks/prefill.md).
constexpr double kGatherDensity = 0.625;

bool multiplies_kept(const DenseView&) { return false; }
bool multiplies_kept(const NmTilesView& weight) { return has_sparse_gemm(weight); }
template <typename View>
bool multiplies_kept(const View&) {
  return true;
}

void multiply_kept(const DenseView& weight, MatrixView<const float> x, std::span<const float> bias,
                   MatrixView<float> y) {
  dense_gemm(weight, x, bias, y);  // keeps everything
}
template <typename View>
void multiply_kept(const View& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  sparse_gemm(rows_of(weight), x, bias, y);
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
  const bool gathers = current_isa() >= Isa::avx2 && density(weight) <= kGatherDensity;
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
