#include <algorithm>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/dense_kernels.h"
#include "kernels/few.h"

namespace esparse {
namespace {

static_assert(kMaxFewTokens <= kMaxDenseTokens);

// Rows of one piece: 64, the block in which a kernel reads four streams a quarter apart, fewer in a small weight, so
// that many threads have work.
int64_t rows_per_piece(const DenseView& weight) { return weight.out_features >= 1024 ? 64 : 16; }

}  // namespace

void few_linear(const DenseView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  const DenseKernels& kernels = esparse::kernels<DenseKernels>();
  const int64_t piece_rows = rows_per_piece(weight);
  parallel_for_sized(ceil_div(weight.out_features, piece_rows), x.rows * x.cols * y.cols, [&](int64_t piece, int) {
    const int64_t first = piece * piece_rows, rows = std::min(piece_rows, weight.out_features - first);
    for (int64_t token = 0; token < x.rows; token += kMaxFewTokens)
      kernels.multiply({.dtype = weight.dtype,
                        .weight = weight.data + first * weight.row_bytes(),
                        .row_bytes = weight.row_bytes(),
                        .rows = rows,
                        .in_features = weight.in_features,
                        .x = x.row(token).data(),
                        .x_stride = x.stride,
                        .tokens = std::min(kMaxFewTokens, x.rows - token),
                        .bias = bias.empty() ? nullptr : bias.data() + first,
                        .y = y.row(token).data() + first,
                        .y_stride = y.stride});
  });
}

}  // namespace esparse
