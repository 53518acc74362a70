#include "prune/descent.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/sgemm.h"

namespace esparse {
namespace {

constexpr int kWindow = 8;              // columns searched together: at most C(8, 4) = 70 subsets
constexpr int64_t kPanelRows = 64;      // rows handled together; the vector dimension of the search
constexpr int64_t kBlockColumns = 128;  // updates inside a block are made at once, those outside as one matrix product

using Lanes = std::array<float, kPanelRows>;

// Columns searched together, and for every subset of them the inverse of H restricted to it.
struct Window {
  std::array<int32_t, kWindow> columns{};
  int width = 0;
  std::array<std::vector<float>, 1 << kWindow> inverses;  // by subset bits: [k, k] row-major; empty = not needed
};

// Inverse of the k x k matrix `a` by Gauss-Jordan without pivoting, which positive definite matrices do not need.
bool invert(double* a, int k) {
  for (int p = 0; p < k; ++p) {
    const double pivot = a[p * k + p];
    if (!(pivot > 0)) return false;
    a[p * k + p] = 1.0;
    for (int j = 0; j < k; ++j) a[p * k + j] /= pivot;
    for (int i = 0; i < k; ++i) {
      if (i == p) continue;
      const double factor = a[i * k + p];
      a[i * k + p] = 0.0;
      for (int j = 0; j < k; ++j) a[i * k + j] -= factor * a[p * k + j];
    }
  }
  return true;
}

int list_columns(unsigned subset, std::array<int, kWindow>& list) {
  int count = 0;
  for (int c = 0; c < kWindow; ++c)
    if ((subset >> c & 1u) != 0) list[count++] = c;
  return count;
}

// `counts`: bit k is set when some row keeps k of the window's columns.
void fill_inverses(MatrixView<const float> hessian, unsigned counts, Window& window) {
  std::array<int, kWindow> list{};
  std::array<double, kWindow * kWindow> block{};
  for (unsigned subset = 1; subset < 1u << window.width; ++subset) {
    const int k = list_columns(subset, list);
    if ((counts >> k & 1u) == 0) continue;
    for (int a = 0; a < k; ++a)
      for (int b = 0; b < k; ++b) block[a * k + b] = hessian(window.columns[list[a]], window.columns[list[b]]);
    if (invert(block.data(), k)) window.inverses[subset].assign(block.begin(), block.begin() + k * k);
  }
}

// The windows of all groups, by block of columns. `odd` sweeps take every second (third, fourth) column of a wide group
// together, so that weights can move between the windows of even sweeps.
std::vector<Window> make_windows(int64_t columns, int group, int64_t border, bool odd) {
  std::vector<Window> windows;
  for (int64_t first = 0, end; first < columns; first = end) {
    end = std::min(first + group, first < border ? border : columns);
    const auto width = static_cast<int>(end - first);
    const int parts = static_cast<int>(ceil_div(width, kWindow));
    for (int part = 0; part < parts; ++part) {
      Window& window = windows.emplace_back();
      if (odd) {
        for (int c = part; c < width; c += parts) window.columns[window.width++] = static_cast<int32_t>(first + c);
      } else {
        for (int c = part * width / parts; c < (part + 1) * width / parts; ++c)
          window.columns[window.width++] = static_cast<int32_t>(first + c);
      }
    }
  }
  return windows;
}

unsigned counts_in(MatrixView<const uint8_t> mask, const Window& window) {
  unsigned counts = 0;
  for (int64_t i = 0; i < mask.rows; ++i) {
    int kept = 0;
    for (int c = 0; c < window.width; ++c) kept += mask(i, window.columns[c]);
    counts |= 1u << kept;
  }
  return counts;
}

// The two ways to lay the windows, the same for all rows.
struct Sweeps {
  Sweeps(MatrixView<const float> hessian, MatrixView<const uint8_t> mask, int group, int64_t border) {
    layouts[0] = make_windows(hessian.cols, group, border, false);
    if (group > kWindow) layouts[1] = make_windows(hessian.cols, group, border, true);
    for (auto& windows : layouts)
      parallel_for(static_cast<int64_t>(windows.size()), [&](int64_t index, int) {
        // Wide groups move weights between windows, so any count may come up later.
        const unsigned counts = group > kWindow ? ~0u : counts_in(mask, windows[index]);
        fill_inverses(hessian, counts, windows[index]);
      });
  }
  const std::vector<Window>& windows(int sweep) const { return layouts[layouts[1].empty() ? 0 : sweep % 2]; }

  std::array<std::vector<Window>, 2> layouts;
};

double row_error(std::span<const float> w, std::span<const float> t, std::span<const float> gradient) {
  double sum = 0;
  for (size_t j = 0; j < w.size(); ++j) sum += (static_cast<double>(w[j]) - t[j]) * gradient[j];
  return sum;
}

// Up to 64 rows, swept together.
class Panel {
 public:
  Panel(MatrixView<const float> target, MatrixView<const float> hessian, MatrixView<float> weight,
        MatrixView<uint8_t> mask)
      : target_(target), hessian_(hessian), weight_(weight), mask_(mask), gradient_(weight.rows, weight.cols) {}

  void run(const Sweeps& sweeps, const DescentOptions& options) {
    const Matrix<float> first_weight = copy(weight_);
    const Matrix<uint8_t> first_mask = copy(mask_);
    refresh_gradient();
    const std::vector<double> first = errors();
    double error = 0;
    for (double value : first) error += value;
    for (int sweep = 0; sweep < options.max_sweeps && error > 0; ++sweep) {
      const double gained = run_sweep(sweeps.windows(sweep));
      error -= gained;
      if (!(gained > options.tolerance * error)) break;
    }
    refresh_gradient();
    const std::vector<double> last = errors();
    for (int64_t i = 0; i < weight_.rows; ++i) {
      if (last[i] <= first[i]) continue;  // anything else is rounding, or NaN
      std::ranges::copy(first_weight.row(i), weight_.row(i).begin());
      std::ranges::copy(first_mask.row(i), mask_.row(i).begin());
    }
  }

 private:
  template <typename T>
  static Matrix<T> copy(MatrixView<T> view) {
    Matrix<T> result(view.rows, view.cols);
    for (int64_t i = 0; i < view.rows; ++i) std::ranges::copy(view.row(i), result.row(i).begin());
    return result;
  }

  // gradient = (w - t) H, half of the derivative of the error.
  void refresh_gradient() {
    Matrix<float> difference(weight_.rows, weight_.cols);
    for (int64_t i = 0; i < weight_.rows; ++i)
      for (int64_t j = 0; j < weight_.cols; ++j) difference(i, j) = weight_(i, j) - target_(i, j);
    sgemm(difference.view(), hessian_, gradient_.view());
  }

  std::vector<double> errors() const {
    std::vector<double> result(weight_.rows);
    for (int64_t i = 0; i < weight_.rows; ++i) result[i] = row_error(weight_.row(i), target_.row(i), gradient_.row(i));
    return result;
  }

  // How much the sweep lowered the error.
  double run_sweep(const std::vector<Window>& windows) {
    double gained = 0;
    for (size_t next = 0; next < windows.size();) {
      const int64_t begin = windows[next].columns[0];
      int64_t end = begin;
      size_t last = next;
      // Windows of odd sweeps interleave inside their group: those that begin before `end` belong to this block too.
      for (; last < windows.size() && (end - begin < kBlockColumns || windows[last].columns[0] < end); ++last)
        end = std::max<int64_t>(end, windows[last].columns[windows[last].width - 1] + 1);
      step_ = Matrix<float>(weight_.rows, end - begin);
      for (; next < last; ++next) gained += search(windows[next], begin, end);
      spread(begin, end);
    }
    return gained;
  }

  // The gradient outside [begin, end) follows the steps made inside.
  void spread(int64_t begin, int64_t end) {
    const auto rows = hessian_.rows_from(begin, end - begin);
    for (const auto& [first, count] : {std::pair{int64_t{0}, begin}, std::pair{end, weight_.cols - end}}) {
      if (count == 0) continue;
      Matrix<float> change(weight_.rows, count);
      sgemm(step_.view(), rows.cols_from(first, count), change.view());
      for (int64_t i = 0; i < weight_.rows; ++i) {
        float* gradient = gradient_.row(i).data() + first;
        for (int64_t j = 0; j < count; ++j) gradient[j] += change(i, j);
      }
    }
  }

  // The best subset and values of one window for all rows; the gradient inside [begin, end) follows at once.
  double search(const Window& window, int64_t begin, int64_t end) {
    load(window);
    std::array<std::vector<int>, kWindow + 1> rows_by_count;
    for (int64_t i = 0; i < weight_.rows; ++i) rows_by_count[kept_in(window, i)].push_back(static_cast<int>(i));
    double gained = 0;
    for (int k = 1; k <= window.width; ++k)
      if (!rows_by_count[k].empty()) gained += search_rows(window, k, rows_by_count[k], begin);
    for (int64_t i = 0; i < weight_.rows; ++i) {
      float* gradient = gradient_.row(i).data() + begin;
      for (int c = 0; c < window.width; ++c) {
        const float change = step_(i, window.columns[c] - begin);
        if (change == 0) continue;
        const float* h = hessian_.row(window.columns[c]).data() + begin;
        for (int64_t j = 0; j < end - begin; ++j) gradient[j] += change * h[j];
      }
    }
    return gained;
  }

  int kept_in(const Window& window, int64_t row) const {
    int kept = 0;
    for (int c = 0; c < window.width; ++c) kept += mask_(row, window.columns[c]);
    return kept;
  }

  // rest_ = gradient - w H over the window: the gradient at w = 0 there.
  void load(const Window& window) {
    for (int c = 0; c < window.width; ++c)
      for (int64_t i = 0; i < weight_.rows; ++i) {
        float rest = gradient_(i, window.columns[c]);
        for (int d = 0; d < window.width; ++d)
          rest -= weight_(i, window.columns[d]) * hessian_(window.columns[d], window.columns[c]);
        rest_[c][i] = rest;
      }
  }

  // With w_K = -H_KK^-1 rest_K the subset K lowers the error by rest_K^T H_KK^-1 rest_K below that of w = 0: the K with
  // the largest form is exact.
  double search_rows(const Window& window, int k, const std::vector<int>& rows, int64_t begin) {
    std::array<Lanes, kWindow> rest;
    for (int c = 0; c < window.width; ++c) {
      rest[c].fill(0);
      for (size_t r = 0; r < rows.size(); ++r) rest[c][r] = rest_[c][rows[r]];
    }
    Lanes best;
    best.fill(-1.0f);
    std::array<int32_t, kPanelRows> chosen{};
    std::array<int, kWindow> list{};
    for (unsigned subset = 1; subset < 1u << window.width; ++subset) {
      const std::vector<float>& inverse = window.inverses[subset];
      if (std::popcount(subset) != k || inverse.empty()) continue;
      list_columns(subset, list);
      Lanes form{};
      for (int a = 0; a < k; ++a) {
        Lanes product;
        for (int64_t r = 0; r < kPanelRows; ++r) product[r] = inverse[a * k + a] * rest[list[a]][r];
        for (int b = a + 1; b < k; ++b) {
          const float twice = 2.0f * inverse[a * k + b];
          for (int64_t r = 0; r < kPanelRows; ++r) product[r] += twice * rest[list[b]][r];
        }
        for (int64_t r = 0; r < kPanelRows; ++r) form[r] += product[r] * rest[list[a]][r];
      }
      for (int64_t r = 0; r < kPanelRows; ++r) {
        chosen[r] = form[r] > best[r] ? static_cast<int32_t>(subset) : chosen[r];
        best[r] = form[r] > best[r] ? form[r] : best[r];
      }
    }
    double gained = 0;
    for (size_t r = 0; r < rows.size(); ++r)
      if (chosen[r] != 0) gained += install(window, static_cast<unsigned>(chosen[r]), rows[r], best[r], begin);
    return gained;
  }

  double install(const Window& window, unsigned subset, int row, float form, int64_t begin) {
    std::array<int, kWindow> list{};
    const int k = list_columns(subset, list);
    const std::vector<float>& inverse = window.inverses[subset];
    double before = 0;  // w H w + 2 rest w of the present weights; the new ones have -form
    for (int c = 0; c < window.width; ++c) {
      const float w = weight_(row, window.columns[c]);
      if (w == 0) continue;
      double product = 2.0 * rest_[c][row];
      for (int d = 0; d < window.width; ++d)
        product +=
            static_cast<double>(weight_(row, window.columns[d])) * hessian_(window.columns[d], window.columns[c]);
      before += w * product;
    }
    for (int c = 0; c < window.width; ++c) {
      const int64_t column = window.columns[c];
      step_(row, column - begin) -= weight_(row, column);
      weight_(row, column) = 0;
      mask_(row, column) = static_cast<uint8_t>(subset >> c & 1u);
    }
    for (int a = 0; a < k; ++a) {
      float value = 0;
      for (int b = 0; b < k; ++b) value -= inverse[a * k + b] * rest_[list[b]][row];
      weight_(row, window.columns[list[a]]) = value;
      step_(row, window.columns[list[a]] - begin) += value;
    }
    return before + form;
  }

  MatrixView<const float> target_, hessian_;
  MatrixView<float> weight_;
  MatrixView<uint8_t> mask_;
  Matrix<float> gradient_;
  Matrix<float> step_;                 // change of the weights of the present block of columns
  std::array<Lanes, kWindow> rest_{};  // of one window, see load()
};

}  // namespace

void group_descent(MatrixView<const float> target, MatrixView<const float> hessian, int group, int64_t border,
                   const DescentOptions& options, MatrixView<float> weight, MatrixView<uint8_t> mask) {
  ESPARSE_CHECK(hessian.rows == hessian.cols && hessian.cols == weight.cols && group >= 1);
  ESPARSE_CHECK(target.rows == weight.rows && target.cols == weight.cols);
  ESPARSE_CHECK(mask.rows == weight.rows && mask.cols == weight.cols);
  const Sweeps sweeps(hessian, mask, group, border);
  parallel_for(ceil_div(weight.rows, kPanelRows), [&](int64_t index, int) {
    const int64_t first = index * kPanelRows, count = std::min(kPanelRows, weight.rows - first);
    Panel(target.rows_from(first, count), hessian, weight.rows_from(first, count), mask.rows_from(first, count))
        .run(sweeps, options);
  });
}

}  // namespace esparse
