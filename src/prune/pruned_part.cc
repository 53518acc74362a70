#include "prune/pruned_part.h"

#include <algorithm>

namespace esparse {

std::vector<int32_t> all_but(std::span<const int32_t> taken, int64_t size) {
  std::vector<int32_t> rest;
  rest.reserve(static_cast<size_t>(size) - taken.size());
  size_t next = 0;
  for (int32_t index = 0; index < size; ++index) {
    if (next < taken.size() && taken[next] == index) {
      ++next;
    } else {
      rest.push_back(index);
    }
  }
  ESPARSE_CHECK(next == taken.size());
  return rest;
}

Matrix<float> take_rows(MatrixView<const float> matrix, std::span<const int32_t> rows) {
  Matrix<float> part(static_cast<int64_t>(rows.size()), matrix.cols);
  for (size_t i = 0; i < rows.size(); ++i) std::ranges::copy(matrix.row(rows[i]), part.row(i).begin());
  return part;
}

void put_rows(const Matrix<float>& part, std::span<const int32_t> rows, MatrixView<float> matrix) {
  for (size_t i = 0; i < rows.size(); ++i) std::ranges::copy(part.row(i), matrix.row(rows[i]).begin());
}

void make_leading_mask(MatrixView<const float> saliency, const PruneTarget& target, int64_t columns,
                       MatrixView<uint8_t> mask) {
  make_mask(saliency.cols_from(0, columns), target.of_pruned_part(), mask.cols_from(0, columns));
  for (int64_t row = 0; row < mask.rows; ++row) std::ranges::fill(mask.row(row).subspan(columns), uint8_t{1});
}

void make_part_mask(MatrixView<const float> saliency, const PruneTarget& target, const PrunedPart& part,
                    MatrixView<uint8_t> mask) {
  const Matrix<float> scores = take_rows(saliency, part.rows);
  Matrix<uint8_t> of_part(scores.rows(), scores.cols());
  make_leading_mask(scores.view(), target, part.columns, of_part.view());
  for (int64_t row = 0; row < mask.rows; ++row) std::ranges::fill(mask.row(row), uint8_t{1});
  for (size_t i = 0; i < part.rows.size(); ++i) std::ranges::copy(of_part.row(i), mask.row(part.rows[i]).begin());
}

double retained_share(MatrixView<const float> saliency, const PruneTarget& target, const PrunedPart& part) {
  const Matrix<float> scores = take_rows(saliency, part.rows);
  Matrix<uint8_t> mask(scores.rows(), scores.cols());
  make_leading_mask(scores.view(), target, part.columns, mask.view());
  double lost = 0, all = 0;
  for (int64_t i = 0; i < saliency.rows; ++i)
    for (const float score : saliency.row(i)) all += score;
  for (int64_t i = 0; i < mask.rows(); ++i)
    for (int64_t k = 0; k < part.columns; ++k)
      if (mask(i, k) == 0) lost += scores(i, k);
  return all > 0 ? 1.0 - lost / all : 1.0;
}

}  // namespace esparse
