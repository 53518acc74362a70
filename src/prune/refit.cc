#include "prune/refit.h"

#include <algorithm>

#include "linalg/gemm.h"
#include "linalg/inverse_factor.h"

namespace esparse {

Result<Matrix<float>> refit_weight(MatrixView<const float> weight, const InputStatistics& statistics, double damping,
                                   bool use_residual) {
  constexpr double kLeastDamping = 1e-6, kMostDamping = 1.0;
  damping = std::max(damping, kLeastDamping);
  for (;; damping = std::min(10 * damping, kMostDamping)) {
    const auto pull = static_cast<float>(damping * mean_diagonal(statistics.gram.view()));
    Matrix<float> fitted(weight.rows, weight.cols);  // W (cross + lambda I) + residual
    for (int64_t i = 0; i < weight.rows; ++i)
      for (int64_t j = 0; j < weight.cols; ++j)
        fitted(i, j) = pull * weight(i, j) + (use_residual ? statistics.residual(i, j) : 0.0f);
    gemm(Op::none, Op::none, 1.0f, weight, statistics.cross.view(), 1.0f, fitted.view());
    const Status solved = solve_gram_right(statistics.gram.view(), damping, fitted.view());
    if (solved.ok()) return fitted;
    if (damping >= kMostDamping) return solved;
  }
}

}  // namespace esparse
