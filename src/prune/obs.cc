#include "prune/obs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "linalg/gemm.h"
#include "linalg/scratch.h"
#include "linalg/tiles.h"
#include "prune/obs_leaf.h"
#include "prune/top_k.h"

// Three levels of columns. A leaf (about 16) is swept column by column. Larger ranges are halved: sweep the left half,
// subtract its errors times U from the right half, sweep that; the products grow with the range. Beyond a stretch of
// 1024 columns all columns that follow are updated at once, so that only a stretch of errors is held in memory.
namespace esparse {
namespace {

constexpr int64_t kLeafColumns = 16;
constexpr int64_t kStretchColumns = 1024;

struct Columns {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

class Sweep {
 public:
  Sweep(MatrixView<float> weight, MatrixView<const float> u, MatrixView<uint8_t> mask, std::optional<NmPattern> pattern)
      : weight_(weight), u_(u), mask_(mask), pattern_(pattern), panel_(panel_rows(weight.rows)) {
    ESPARSE_CHECK(u.rows == weight.cols && u.cols == weight.cols);
    ESPARSE_CHECK(mask.rows == weight.rows && mask.cols == weight.cols && (!pattern || pattern->valid()));
    losses_.resize(static_cast<size_t>(ceil_div(weight.rows, panel_)));
    if (pattern) leaf_ = std::max<int64_t>(1, kLeafColumns / pattern->group) * pattern->group;
  }

  // Only the first `columns` columns are swept.
  void stop_at(int64_t columns) { swept_ = columns; }
  void report_errors(MatrixView<float>* errors) { reported_ = errors; }

  // Each block of columns gets its mask when the sweep reaches it.
  void choose_per_block(double sparsity, int64_t block) {
    sparsity_ = sparsity;
    block_ = block;
  }

  double run() {
    const int64_t unit = block_ > 0 ? block_ : leaf_;
    const int64_t stretch = std::max<int64_t>(1, kStretchColumns / unit) * unit;
    ScratchMatrix<float> errors(weight_.rows, std::min(stretch, swept_));
    for (int64_t begin = 0; begin < swept_; begin += stretch) {
      const Columns columns{begin, std::min(swept_, begin + stretch)};
      errors_ = errors.view();
      errors_begin_ = begin;
      if (block_ > 0) {
        sweep_blocks(columns);
      } else {
        sweep_panels(columns);
      }
      update_all_rows(columns, {columns.end, weight_.cols});
      if (reported_ != nullptr) copy_errors(columns);
    }
    return std::accumulate(losses_.begin(), losses_.end(), 0.0);
  }

 private:
  // What the swept columns `from` still owe the columns `to`: target -= errors * u.
  struct Debt {
    MatrixView<const float> errors, u;
    MatrixView<float> target;
  };
  Debt debt(Span1d rows, Columns from, Columns to) const {
    return {errors_.rows_from(rows.begin, rows.count).cols_from(from.begin - errors_begin_, from.count()),
            u_.rows_from(from.begin, from.count()).cols_from(to.begin, to.count()),
            weight_.rows_from(rows.begin, rows.count).cols_from(to.begin, to.count())};
  }
  void update_all_rows(Columns from, Columns to) {
    const Debt d = debt({0, weight_.rows}, from, to);
    gemm(Op::none, Op::none, -1.0f, d.errors, d.u, 1.0f, d.target);
  }

  void copy_errors(Columns columns) const {
    for (int64_t row = 0; row < weight_.rows; ++row)
      std::copy_n(errors_.row(row).data(), columns.count(), reported_->row(row).data() + columns.begin);
  }

  static Columns left_half(Columns columns, int64_t unit) {
    return {columns.begin, columns.begin + unit * (ceil_div(columns.count(), unit) / 2)};
  }

  // All rows together: a block's mask is chosen among the scores of all rows.
  void sweep_blocks(Columns columns) {
    if (columns.count() <= block_) {
      choose_mask(columns);
      return sweep_panels(columns);
    }
    const Columns left = left_half(columns, block_), right{left.end, columns.end};
    sweep_blocks(left);
    update_all_rows(left, right);
    sweep_blocks(right);
  }

  void choose_mask(Columns columns) {
    const int64_t rows = weight_.rows, entries = rows * columns.count();
    ScratchMatrix<float> scores(rows, columns.count());
    const auto view = scores.view();
    parallel_for_sized(ceil_div(rows, panel_), entries, [&](int64_t index, int) {
      const Span1d panel = piece(index, panel_, rows);
      for (int64_t row = panel.begin; row < panel.begin + panel.count; ++row)
        for (int64_t col = columns.begin; col < columns.end; ++col)
          view(row, col - columns.begin) = weight_(row, col) / u_(col, col);
    });
    const auto removed = static_cast<int64_t>(std::floor(sparsity_ * static_cast<double>(entries)));
    keep_largest(view, entries - removed, mask_.cols_from(columns.begin, columns.count()));
  }

  void sweep_panels(Columns columns) {
    parallel_for(ceil_div(weight_.rows, panel_), [&](int64_t index, int) {
      losses_[index] += sweep_panel(piece(index, panel_, weight_.rows), columns);
    });
  }

  double sweep_panel(Span1d rows, Columns columns) {
    if (columns.count() <= leaf_) {
      const auto cut = [&](auto m, int64_t first) {
        return m.rows_from(rows.begin, rows.count).cols_from(first, columns.count());
      };
      return sweep_leaf(cut(weight_, columns.begin),
                        u_.rows_from(columns.begin, columns.count()).cols_from(columns.begin, columns.count()),
                        pattern_, cut(mask_, columns.begin), cut(errors_, columns.begin - errors_begin_));
    }
    const Columns left = left_half(columns, leaf_), right{left.end, columns.end};
    double loss = sweep_panel(rows, left);
    const Debt d = debt(rows, left, right);
    blas_gemm(Op::none, Op::none, -1.0f, d.errors, d.u, 1.0f, d.target);
    loss += sweep_panel(rows, right);
    return loss;
  }

  MatrixView<float> weight_;
  MatrixView<const float> u_;
  MatrixView<uint8_t> mask_;
  std::optional<NmPattern> pattern_;
  int64_t panel_;
  int64_t leaf_ = kLeafColumns;
  int64_t swept_ = weight_.cols;
  MatrixView<float>* reported_ = nullptr;
  double sparsity_ = 0;
  int64_t block_ = 0;  // 0: no mask is chosen per block
  MatrixView<float> errors_;
  int64_t errors_begin_ = 0;    // the column of weight_ that the first column of errors_ belongs to
  std::vector<double> losses_;  // per panel
};

}  // namespace

double obs_sweep(MatrixView<float> weight, MatrixView<const float> u, NmPattern pattern, MatrixView<uint8_t> mask,
                 int64_t columns, MatrixView<float>* errors) {
  ESPARSE_CHECK(columns >= 0 && columns <= weight.cols);
  ESPARSE_CHECK(errors == nullptr || (errors->rows == weight.rows && errors->cols == columns));
  for (int64_t row = 0; row < weight.rows; ++row)
    std::fill(mask.row(row).begin() + columns, mask.row(row).end(), uint8_t{1});
  Sweep sweep(weight, u, mask, pattern);
  sweep.stop_at(columns);
  sweep.report_errors(errors);
  return sweep.run();
}

double obs_sweep(MatrixView<float> weight, MatrixView<const float> u, double sparsity, MatrixView<uint8_t> mask,
                 int64_t block) {
  ESPARSE_CHECK(sparsity >= 0 && sparsity <= 1 && block >= 1);
  Sweep sweep(weight, u, mask, std::nullopt);
  sweep.choose_per_block(sparsity, block);
  return sweep.run();
}

double obs_sweep_masked(MatrixView<float> weight, MatrixView<const float> u, MatrixView<const uint8_t> mask) {
  // Without a pattern the sweep only reads the mask.
  const MatrixView<uint8_t> readable(const_cast<uint8_t*>(mask.data), mask.rows, mask.cols, mask.stride);
  return Sweep(weight, u, readable, std::nullopt).run();
}

}  // namespace esparse
