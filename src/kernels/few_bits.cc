#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/few.h"
#include "kernels/row_kernels.h"

namespace esparse {

void few_linear(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias,
                MatrixView<float> y) {
  constexpr int64_t kRowsPerPiece = 64;
  parallel_for_sized(ceil_div(weight.out_features, kRowsPerPiece), x.rows * x.cols * y.cols, [&](int64_t piece, int) {
    static thread_local std::vector<float> row_f32;
    row_f32.resize(static_cast<size_t>(weight.in_features));
    const int64_t first = piece * kRowsPerPiece, last = std::min(first + kRowsPerPiece, weight.out_features);
    for (int64_t row = first; row < last; ++row) {
      row_kernels().expand_bits(weight, row, row_f32.data());
      const float offset = bias.empty() ? 0.0f : bias[row];
      for (int64_t token = 0; token < x.rows; ++token)
        y(token, row) = row_kernels().dot(row_f32.data(), x.row(token).data(), x.cols) + offset;
    }
  });
}

}  // namespace esparse
