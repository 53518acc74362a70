#include "prune/admm.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/gemm.h"
#include "linalg/gram.h"
#include "linalg/inverse_factor.h"
#include "linalg/scratch.h"
#include "linalg/tiles.h"
#include "prune/masked_solve.h"
#include "prune/top_k.h"

// State. The method has three matrices: B (the solution without constraint), D (with it) and V (the multipliers). With
// Z = B + V / rho, D is Z where the mask keeps, and the new V = V + rho (B - D) is rho * Z where it removes. So Z, the
// mask and the rho of the last update say everything.
namespace esparse {
namespace {

// As in the authors' code: the schedule of the penalty, every third iteration, from the share of kept weights that
// changed since the last look.
constexpr int kIterationsPerLook = 3;
constexpr int kEarliestStop = 30;
constexpr double kStopShare = 0.0003;
constexpr double kMaxRho = 1e6;
constexpr double kMinRho = 1e-6;  // ours: weights that fit the pattern already would lower rho for ever

class Admm {
 public:
  Admm(MatrixView<const float> weight, MatrixView<const float> gram, std::span<const float> scale,
       std::optional<NmPattern> pattern, int64_t columns, int64_t kept, MatrixView<uint8_t> mask)
      : weight_(weight),
        gram_(gram),
        scale_(scale),
        pattern_(pattern),
        columns_(columns),
        kept_(kept),
        mask_(mask),
        target_(weight.rows, weight.cols),
        z_(weight.rows, weight.cols),
        factor_(gram.rows, gram.cols),
        seen_mask_(weight.rows, weight.cols),
        panel_(panel_rows(weight.rows)) {
    restart();
    gemm(Op::none, Op::none, 1.0f, z_.view(), gram_, 0.0f, target_.view());
    remember_mask();
  }

  Result<AlpsReport> run(const AlpsOptions& options) {
    AlpsReport report{0, options.rho, false};
    ESPARSE_RETURN_IF_ERROR(factor(report.rho));
    while (report.iterations < options.max_iterations && !report.converged) {
      iterate(report.rho);
      if (++report.iterations % kIterationsPerLook != 0) continue;
      const double old_rho = report.rho;
      report.converged = adapt(report.iterations, report.rho);
      if (!report.converged && report.rho != old_rho) ESPARSE_RETURN_IF_ERROR(factor(report.rho));
    }
    return report;
  }

  MatrixView<float> z() { return z_.view(); }
  MatrixView<const float> target() { return target_.view(); }

 private:
  template <typename F>
  void for_panels(F&& body) {
    parallel_for(ceil_div(weight_.rows, panel_), [&](int64_t index, int) { body(piece(index, panel_, weight_.rows)); });
  }
  template <typename F>
  static void for_rows(Span1d rows, F&& body) {
    for (int64_t row = rows.begin; row < rows.begin + rows.count; ++row) body(row);
  }

  // Z = the dense weights, no multipliers.
  void restart() {
    const auto z = z_.view();
    for_panels([&](Span1d rows) {
      for_rows(rows, [&](int64_t row) {
        for (int64_t col = 0; col < z.cols; ++col) z(row, col) = weight_(row, col) * scale_[col];
      });
    });
    multiplier_rho_ = 0;
    project();
  }

  void project() {
    if (!pattern_) return keep_largest(z_.view(), kept_, mask_);
    for_panels([&](Span1d rows) {
      for_rows(rows, [&](int64_t row) {
        const auto width = static_cast<size_t>(columns_);
        keep_largest_of_groups(z_.view().row(row).first(width), *pattern_, mask_.row(row).first(width));
        std::ranges::fill(mask_.row(row).subspan(width), uint8_t{1});
      });
    });
  }

  // factor_ = L with G + rho I = L L^T. Factored in double, applied in f32: what rounding disturbs, later iterations
  // and the final solution correct.
  Status factor(double rho) {
    ScratchMatrix<double> work(gram_.rows, gram_.cols);
    const auto w = work.view();
    const auto l = factor_.view();
    constexpr int64_t kRows = 32;
    const int64_t chunks = ceil_div(w.rows, kRows);
    parallel_for(chunks, [&](int64_t chunk, int) {
      for_rows(piece(chunk, kRows, w.rows), [&](int64_t row) {
        for (int64_t col = 0; col <= row; ++col) w(row, col) = gram_(row, col);
        w(row, row) += rho;
      });
    });
    ESPARSE_RETURN_IF_ERROR(cholesky_lower(w).with_context(fmt::format("scaled gram with penalty {}", rho)));
    parallel_for(chunks, [&](int64_t chunk, int) {
      for_rows(piece(chunk, kRows, w.rows), [&](int64_t row) {
        for (int64_t col = 0; col <= row; ++col) l(row, col) = static_cast<float>(w(row, col));
      });
    });
    return {};
  }

  // B = (T - V + rho D) (G + rho I)^-1, then Z = B + V / rho, then the mask.
  void iterate(double rho) {
    const auto z = z_.view(), target = target_.view();
    const auto kept_factor = static_cast<float>(rho), removed_factor = static_cast<float>(-multiplier_rho_);
    const auto multiplier = static_cast<float>(multiplier_rho_ / rho);
    for_panels([&](Span1d rows) {
      ScratchMatrix<float> solution(rows.count, z.cols);
      const auto b = solution.view();
      for_rows(rows, [&](int64_t row) {
        float* right_side = b.row(row - rows.begin).data();
        for (int64_t col = 0; col < z.cols; ++col)
          right_side[col] = target(row, col) + (mask_(row, col) != 0 ? kept_factor : removed_factor) * z(row, col);
      });
      blas_solve_right(Op::transpose, 1.0f, factor_.view(), b);
      blas_solve_right(Op::none, 1.0f, factor_.view(), b);
      for_rows(rows, [&](int64_t row) {
        const float* from = b.row(row - rows.begin).data();
        for (int64_t col = 0; col < z.cols; ++col)
          z(row, col) = from[col] + (mask_(row, col) != 0 ? 0.0f : multiplier) * z(row, col);
      });
    });
    multiplier_rho_ = rho;
    project();
  }

  int64_t changed() {
    std::vector<int64_t> counts(static_cast<size_t>(ceil_div(weight_.rows, panel_)));
    for_panels([&](Span1d rows) {
      int64_t count = 0;
      for_rows(rows, [&](int64_t row) {
        for (int64_t col = 0; col < mask_.cols; ++col) count += mask_(row, col) != seen_mask_.view()(row, col);
      });
      counts[rows.begin / panel_] = count;
    });
    int64_t sum = 0;
    for (const int64_t count : counts) sum += count;
    return sum;
  }

  void remember_mask() {
    for_panels([&](Span1d rows) {
      for_rows(rows,
               [&](int64_t row) { std::copy_n(mask_.row(row).data(), mask_.cols, seen_mask_.view().row(row).data()); });
    });
  }

  // Looks at how the mask moved and sets the penalty; true when done.
  bool adapt(int iteration, double& rho) {
    const int64_t changes = changed();
    const double share = static_cast<double>(changes) / static_cast<double>(std::max<int64_t>(1, kept_));
    if (share > 0.005) {
      rho_grew_ = true;
      rho *= share > 0.1 ? 1.3 : 1.2;
    } else if (rho_grew_) {
      if (changes == 0) return true;
      rho *= 1.1;
    } else {
      // The penalty was so large from the start that the mask hardly moves: begin again with less.
      rho /= 5;
      if (changes > 0) restart();
    }
    rho = std::min(rho, kMaxRho);
    remember_mask();
    return rho < kMinRho || (iteration > kEarliestStop && share < kStopShare);
  }

  MatrixView<const float> weight_;
  MatrixView<const float> gram_;
  std::span<const float> scale_;
  std::optional<NmPattern> pattern_;
  int64_t columns_;  // that the pattern prunes; the others are kept
  int64_t kept_;
  MatrixView<uint8_t> mask_;
  ScratchMatrix<float> target_;  // dense weights (scaled) * G
  ScratchMatrix<float> z_;
  ScratchMatrix<float> factor_;  // lower half
  ScratchMatrix<uint8_t> seen_mask_;
  double multiplier_rho_ = 0;  // V = this * Z where the mask removes
  bool rho_grew_ = false;
  int64_t panel_;
};

// gram = S^-1 (gram + damping) S^-1 with unit diagonal, both halves; returns the diagonal of S.
Result<std::vector<float>> scale_to_unit_diagonal(MatrixView<float> gram, double damping) {
  if (!(damping >= 0) || !std::isfinite(damping))
    return invalid_argument("damping: expected a finite number >= 0, got {}", damping);
  const double shift = damping * mean_diagonal(gram);
  std::vector<float> scale(static_cast<size_t>(gram.cols));
  for (int64_t i = 0; i < gram.cols; ++i) {
    const double diagonal = gram(i, i) + shift;
    if (!std::isfinite(diagonal) || diagonal < 0)
      return numeric_error("gram of the inputs: the diagonal of channel {} is {}", i, diagonal);
    scale[i] = diagonal > 0 ? static_cast<float>(std::sqrt(diagonal)) : 1.0f;
  }
  parallel_for(gram.rows, [&](int64_t row, int) {
    for (int64_t col = row + 1; col < gram.cols; ++col) gram(row, col) /= scale[row] * scale[col];
    gram(row, row) = 1;
  });
  mirror_upper(gram);
  return scale;
}

Result<AlpsReport> alps_for(MatrixView<float> weight, Matrix<float> gram, std::optional<NmPattern> pattern,
                            int64_t columns, int64_t kept, MatrixView<uint8_t> mask, const AlpsOptions& options) {
  ESPARSE_CHECK(gram.rows() == weight.cols && gram.cols() == weight.cols);
  ESPARSE_CHECK(mask.rows == weight.rows && mask.cols == weight.cols);
  if (!(options.rho > 0) || !std::isfinite(options.rho))
    return invalid_argument("rho: expected a finite number > 0, got {}", options.rho);
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<float> scale, scale_to_unit_diagonal(gram.view(), options.damping));
  Admm admm(weight, gram.view(), scale, pattern, columns, kept, mask);
  ESPARSE_ASSIGN_OR_RETURN(const AlpsReport report, admm.run(options));
  const auto z = admm.z();
  masked_solve(gram.view(), admm.target(), mask, z,
               {.ridge = 0, .max_iterations = options.final_iterations, .rtol = options.final_rtol});
  parallel_for(weight.rows, [&](int64_t row, int) {
    for (int64_t col = 0; col < weight.cols; ++col) weight(row, col) = z(row, col) / scale[col];
  });
  return report;
}

}  // namespace

Result<AlpsReport> alps(MatrixView<float> weight, Matrix<float> gram, NmPattern pattern, int64_t columns,
                        MatrixView<uint8_t> mask, const AlpsOptions& options) {
  ESPARSE_CHECK(pattern.valid() && columns >= 0 && columns <= weight.cols);
  const int64_t kept = weight.rows * (pattern.kept_in(columns) + weight.cols - columns);
  return alps_for(weight, std::move(gram), pattern, columns, kept, mask, options);
}

Result<AlpsReport> alps(MatrixView<float> weight, Matrix<float> gram, double sparsity, MatrixView<uint8_t> mask,
                        const AlpsOptions& options) {
  ESPARSE_CHECK(sparsity >= 0 && sparsity <= 1);
  const auto kept = static_cast<int64_t>(std::llround((1 - sparsity) * static_cast<double>(weight.rows * weight.cols)));
  return alps_for(weight, std::move(gram), std::nullopt, weight.cols, kept, mask, options);
}

}  // namespace esparse
