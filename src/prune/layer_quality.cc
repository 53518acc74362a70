#include "prune/layer_quality.h"

#include <cmath>

#include "linalg/gemm.h"
#include "prune/layer_order.h"

namespace esparse {
namespace {

double square_sum(const Matrix<float>& matrix) {
  double sum = 0;
  for (float value : matrix.values()) sum += static_cast<double>(value) * value;
  return sum;
}

double output_energy(MatrixView<const float> sample, MatrixView<const float> weight) {
  Matrix<float> outputs(sample.rows, weight.rows);
  gemm(Op::none, Op::transpose, 1.0f, sample, weight, 0.0f, outputs.view());
  return square_sum(outputs);
}

}  // namespace

double output_error(MatrixView<const float> sample, MatrixView<const float> weight, MatrixView<const float> target) {
  Matrix<float> difference(weight.rows, weight.cols);
  for (int64_t i = 0; i < weight.rows; ++i)
    for (int64_t j = 0; j < weight.cols; ++j) difference(i, j) = weight(i, j) - target(i, j);
  const double error = output_energy(sample, difference.view());
  const double energy = output_energy(sample, target);
  return energy > 0 ? error / energy : (error > 0 ? 1.0 : 0.0);
}

Matrix<float> prune_by_magnitude(MatrixView<const float> weight, const PruneTarget& pattern, const PrunedPart& part,
                                 const ChannelOrder& order) {
  Matrix<float> pruned = permute_columns<float>(weight, order);
  Matrix<float> rows = take_rows(pruned.view(), part.rows), scores = rows;
  for (float& score : scores.values()) score = std::fabs(score);
  Matrix<uint8_t> mask(rows.rows(), rows.cols());
  make_leading_mask(scores.view(), pattern, part.columns, mask.view());
  for (size_t k = 0; k < rows.values().size(); ++k)
    if (mask.values()[k] == 0) rows.values()[k] = 0.0f;
  put_rows(rows, part.rows, pruned.view());
  return restore_columns<float>(pruned.view(), order);
}

}  // namespace esparse
