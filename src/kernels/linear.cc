#include "kernels/linear.h"

#include "kernels/dense_gemm.h"
#include "kernels/few.h"

namespace esparse {
namespace {

const DenseView& rows_of(const DenseView& weight) { return weight; }
BitRowsView rows_of(const NmView& weight) { return bit_rows(weight); }
BitRowsView rows_of(const BitmapView& weight) { return bit_rows(weight); }
const NmTilesView& rows_of(const NmTilesView& weight) { return weight; }

}  // namespace

std::vector<LinearPath> possible_paths(const WeightView&, int64_t tokens) {
  if (tokens <= kMaxFewTokens) return {LinearPath::few, LinearPath::dense_gemm};
  return {LinearPath::dense_gemm};
}

LinearPlan default_plan(const WeightView&) {
  LinearPlan plan;
  for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket)
    plan.paths[bucket] = kTokenBuckets[bucket] <= 8 ? LinearPath::few : LinearPath::dense_gemm;
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
    case LinearPath::dense_gemm:
      return dense_gemm(weight, x, bias, y);
  }
}

void linear(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  linear(weight, x, bias, y, default_plan(weight));
}

}  // namespace esparse
