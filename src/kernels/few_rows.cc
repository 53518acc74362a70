#include "kernels/few_rows.h"

#include <algorithm>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/scratch.h"

namespace esparse {
namespace {

DenseView slice_rows(const DenseView& weight, int64_t first, int64_t count) {
  return {weight.dtype, count, weight.in_features, weight.data + first * weight.row_bytes()};
}
BitRowsView slice_rows(const NmView& weight, int64_t first, int64_t count) {
  return bit_rows(weight).rows_from(first, count);
}
BitRowsView slice_rows(const BitmapView& weight, int64_t first, int64_t count) {
  return bit_rows(weight).rows_from(first, count);
}
NmTilesView slice_rows(const NmTilesView& weight, int64_t first, int64_t count) {
  return {weight.dtype, count, weight.in_features, weight.tile(first / NmTilesView::kRows, 0), weight.pattern};
}

// y += x W^T.
void add_few(const DenseView& weight, MatrixView<const float> x, MatrixView<float> y) {
  // The bias is what a row's sum is added to at the end, so for one token y itself can be it.
  if (x.rows == 1) return few_linear(weight, x, y.row(0), y);
  static thread_local Scratch scratch;
  auto* sums = reinterpret_cast<float*>(scratch.grow(x.rows * y.cols * static_cast<int64_t>(sizeof(float))));
  const MatrixView<float> target(sums, x.rows, y.cols);
  few_linear(weight, x, {}, target);
  for (int64_t token = 0; token < y.rows; ++token)
    for (int64_t row = 0; row < y.cols; ++row) y(token, row) += target(token, row);
}

template <typename View>
void multiply(const View& weight, int64_t first, int64_t count, MatrixView<const float> x, std::span<const float> bias,
              MatrixView<float> y) {
  few_linear(slice_rows(weight, first, count), x, bias, y);
}

void multiply(const SpenseView& weight, int64_t first, int64_t count, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y) {
  if (weight.split == SpenseSplit::in) {
    const int64_t columns = weight.in_features - weight.dense.in_features;
    std::visit([&](const auto& region) { multiply(region, first, count, x.cols_from(0, columns), bias, y); },
               weight.sparse);
    return add_few(slice_rows(weight.dense, first, count), x.cols_from(columns, weight.dense.in_features), y);
  }
  const int64_t border = weight.out_features - weight.dense.out_features;
  const int64_t sparse = std::clamp<int64_t>(border - first, 0, count), dense = count - sparse;
  const auto bias_of = [&](int64_t begin, int64_t rows) { return bias.empty() ? bias : bias.subspan(begin, rows); };
  if (sparse > 0)
    std::visit(
        [&](const auto& region) { multiply(region, first, sparse, x, bias_of(0, sparse), y.cols_from(0, sparse)); },
        weight.sparse);
  if (dense > 0)
    multiply(weight.dense, first + sparse - border, dense, x, bias_of(sparse, dense), y.cols_from(sparse, dense));
}

}  // namespace

void few_rows(const WeightView& weight, int64_t first, int64_t count, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y) {
  std::visit([&](const auto& view) { multiply(view, first, count, x, bias, y); }, weight);
}

void few_linear(const SpenseView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  const int64_t size = slice_size(weight.out_features);
  parallel_for_sized(ceil_div(weight.out_features, size), x.rows * x.cols * y.cols, [&](int64_t slice, int) {
    const int64_t first = slice * size, count = std::min(size, weight.out_features - first);
    multiply(weight, first, count, x, bias.empty() ? bias : bias.subspan(first, count), y.cols_from(first, count));
  });
}

}  // namespace esparse
