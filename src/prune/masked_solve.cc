#include "prune/masked_solve.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/scratch.h"
#include "linalg/tiles.h"

namespace esparse {
namespace {

constexpr int64_t kPanelRows = 128;

double dot(std::span<const float> a, std::span<const float> b) {
  double sums[4] = {};  // four chains: additions of doubles wait for each other
  size_t i = 0;
  for (; i + 4 <= a.size(); i += 4)
    for (size_t k = 0; k < 4; ++k) sums[k] += static_cast<double>(a[i + k]) * b[i + k];
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// What all panels share.
struct Problem {
  MatrixView<const float> gram;
  float ridge;
  std::vector<float> inverse_diagonal;  // of H; 0 where H_jj = 0, which leaves such weights alone
};

class Panel {
 public:
  Panel(const Problem& problem, MatrixView<const float> target, MatrixView<const uint8_t> mask,
        MatrixView<float> weight)
      : problem_(problem),
        mask_(mask),
        weight_(weight),
        start_(weight.rows, weight.cols),
        start_residual_(weight.rows, weight.cols),
        residual_(weight.rows, weight.cols),
        direction_(weight.rows, weight.cols),
        product_(weight.rows, weight.cols),
        rz_(static_cast<size_t>(weight.rows)),
        stop_(static_cast<size_t>(weight.rows)),
        active_(static_cast<size_t>(weight.rows), 1) {
    clear_outside(weight_);
    copy(weight_, start_.view());
    times_gram(weight_);
    for (int64_t row = 0; row < weight.rows; ++row) {
      double right_side = 0;
      for (int64_t col = 0; col < weight.cols; ++col) {
        const float t = mask(row, col) != 0 ? target(row, col) : 0.0f;
        right_side += static_cast<double>(t) * t;
        residual_.view()(row, col) = mask(row, col) != 0 ? t - product_.view()(row, col) : 0.0f;
      }
      stop_[row] = right_side;
    }
    copy(residual_.view(), start_residual_.view());
    std::fill(direction_.view().data, direction_.view().data + weight.rows * weight.cols, 0.0f);
  }

  int solve(const MaskedSolveOptions& options) {
    for (int iteration = 0; iteration < options.max_iterations; ++iteration) {
      bool any = false;
      for (int64_t row = 0; row < weight_.rows; ++row) any = turn(row, options.rtol) || any;
      if (!any) return iteration;
      times_gram(direction_.view());
      for (int64_t row = 0; row < weight_.rows; ++row)
        if (active_[row] != 0) step(row);
    }
    return options.max_iterations;
  }

  // Puts rows back that did not improve. With d = w - start and r the residual at the start, the objective fell by
  // d (2 r - H d)^T: no difference of large numbers.
  double settle() {
    const auto d = direction_.view();
    for (int64_t row = 0; row < weight_.rows; ++row)
      for (int64_t col = 0; col < weight_.cols; ++col) d(row, col) = weight_(row, col) - start_.view()(row, col);
    times_gram(d);
    double decrease = 0;
    for (int64_t row = 0; row < weight_.rows; ++row) {
      const double gain =
          2 * dot(d.row(row), start_residual_.view().row(row)) - dot(d.row(row), product_.view().row(row));
      if (gain > 0) {
        decrease += gain;
      } else {
        const auto start = start_.view().row(row);
        std::copy(start.begin(), start.end(), weight_.row(row).begin());
      }
    }
    return decrease;
  }

 private:
  static void copy(MatrixView<const float> from, MatrixView<float> to) {
    for (int64_t row = 0; row < from.rows; ++row) std::copy_n(from.row(row).data(), from.cols, to.row(row).data());
  }
  void clear_outside(MatrixView<float> m) const {
    for (int64_t row = 0; row < m.rows; ++row)
      for (int64_t col = 0; col < m.cols; ++col)
        if (mask_(row, col) == 0) m(row, col) = 0;
  }

  // product = x * H.
  void times_gram(MatrixView<const float> x) {
    const auto product = product_.view();
    copy(x, product);
    blas_gemm(Op::none, Op::none, 1.0f, x, problem_.gram, problem_.ridge, product);
  }

  // The next direction of a row; false when it has arrived.
  bool turn(int64_t row, double rtol) {
    if (active_[row] == 0) return false;
    const auto residual = residual_.view().row(row), direction = direction_.view().row(row);
    double rz = 0;
    for (size_t col = 0; col < residual.size(); ++col)
      rz += static_cast<double>(residual[col]) * residual[col] * problem_.inverse_diagonal[col];
    const bool arrived = dot(residual, residual) <= rtol * rtol * stop_[row] || !(rz > 0);
    const auto beta = static_cast<float>(rz_[row] > 0 ? rz / rz_[row] : 0.0);
    for (size_t col = 0; col < residual.size(); ++col)
      direction[col] = arrived ? 0.0f : residual[col] * problem_.inverse_diagonal[col] + beta * direction[col];
    rz_[row] = rz;
    active_[row] = !arrived;
    return !arrived;
  }

  void step(int64_t row) {
    const auto direction = direction_.view().row(row), product = product_.view().row(row),
               residual = residual_.view().row(row), weight = weight_.row(row);
    const double curvature = dot(direction, product);
    if (!(curvature > 0) || !std::isfinite(curvature)) {
      std::fill(direction.begin(), direction.end(), 0.0f);
      active_[row] = 0;
      return;
    }
    const auto alpha = static_cast<float>(rz_[row] / curvature);
    const auto mask = mask_.row(row);
    for (size_t col = 0; col < weight.size(); ++col) {
      weight[col] += alpha * direction[col];
      residual[col] = mask[col] != 0 ? residual[col] - alpha * product[col] : 0.0f;
    }
  }

  const Problem& problem_;
  MatrixView<const uint8_t> mask_;
  MatrixView<float> weight_;
  ScratchMatrix<float> start_, start_residual_, residual_, direction_, product_;
  std::vector<double> rz_, stop_;  // residual * preconditioned residual; squared norm of the right-hand side
  std::vector<uint8_t> active_;
};

}  // namespace

MaskedSolveResult masked_solve(MatrixView<const float> gram, MatrixView<const float> target,
                               MatrixView<const uint8_t> mask, MatrixView<float> weight,
                               const MaskedSolveOptions& options) {
  ESPARSE_CHECK(gram.rows == gram.cols && weight.cols == gram.cols && target.rows == weight.rows &&
                target.cols == weight.cols && mask.rows == weight.rows && mask.cols == weight.cols);
  Problem problem{gram, static_cast<float>(options.ridge), std::vector<float>(static_cast<size_t>(gram.cols))};
  for (int64_t i = 0; i < gram.cols; ++i) {
    const float diagonal = gram(i, i) + problem.ridge;
    problem.inverse_diagonal[i] = diagonal > 0 ? 1 / diagonal : 0.0f;
  }
  const int64_t panels = ceil_div(weight.rows, kPanelRows);
  std::vector<int> iterations(static_cast<size_t>(panels));
  std::vector<double> decreases(static_cast<size_t>(panels));
  parallel_for(panels, [&](int64_t index, int) {
    const Span1d rows = piece(index, kPanelRows, weight.rows);
    Panel panel(problem, target.rows_from(rows.begin, rows.count), mask.rows_from(rows.begin, rows.count),
                weight.rows_from(rows.begin, rows.count));
    iterations[index] = panel.solve(options);
    decreases[index] = panel.settle();
  });
  MaskedSolveResult result;
  for (int64_t index = 0; index < panels; ++index) {
    result.iterations = std::max(result.iterations, iterations[index]);
    result.decrease += decreases[index];
  }
  return result;
}

}  // namespace esparse
