#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/attention_kernels.h"
#include "kernels/bit_kernels.h"
#include "kernels/few.h"
#include "kernels/scratch.h"

namespace esparse {
namespace {

// A quarter or an eighth of a piece is the length of the streams that a kernel reads at once (simd/few_bits.h). Odd
// numbers of rows, so that these do not lie a multiple of 4096 bytes apart and hinder each other in the L1 cache.
constexpr int64_t kMaxRows = 8 * 17;
int64_t rows_per_piece(int64_t out_features) { return out_features >= 4096 ? kMaxRows : 8 * 9; }

// Rows of x as the kernels want them, in memory of the calling thread.
class ArrangedX {
 public:
  ArrangedX(int64_t in_features, bool pairs)
      : dtype_(pairs ? DType::bf16 : DType::f32),
        stride_(ceil_div(in_features, kBitColumns) * kBitColumns * dtype_bytes(dtype_)) {}

  const std::byte* arrange(MatrixView<const float> x) {
    static thread_local Scratch scratch;
    std::byte* first = scratch.grow(x.rows * stride_);
    const int64_t used = x.cols * dtype_bytes(dtype_);
    for (int64_t token = 0; token < x.rows; ++token) {
      std::byte* row = first + token * stride_;
      if (dtype_ == DType::bf16) {
        kernels<AttentionKernels>().narrow(dtype_, x.row(token).data(), row, x.cols);
      } else {
        std::memcpy(row, x.row(token).data(), static_cast<size_t>(used));
      }
      std::fill(row + used, row + stride_, std::byte{0});
    }
    return first;
  }
  int64_t stride() const { return stride_; }

 private:
  DType dtype_;
  int64_t stride_;  // bytes
};

// Where the rows of a piece start.
class RowStarts {
 public:
  BitRowsPiece piece(const BitRowsView& weight, int64_t first, int64_t rows) {
    for (int64_t row = 0; row <= rows; ++row) values_[static_cast<size_t>(row)] = weight.row_values(first + row);
    return {weight.dtype,          rows, weight.in_features, values_.data(), weight.row_values(weight.out_features),
            weight.row_bits(first)};
  }

 private:
  std::array<const std::byte*, kMaxRows + 1> values_;
};

}  // namespace

void few_bits(const BitKernels& table, const BitRowsView& weight, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y) {
  ArrangedX arranged(weight.in_features, table.pairs && weight.dtype == DType::bf16);
  for (int64_t token = 0; token < x.rows; token += kMaxFewTokens) {
    const int64_t tokens = std::min(kMaxFewTokens, x.rows - token);
    const std::byte* inputs = arranged.arrange(x.rows_from(token, tokens));
    const int64_t step = rows_per_piece(weight.out_features), pieces = ceil_div(weight.out_features, step);
    parallel_for_sized(pieces, tokens * x.cols * y.cols, [&](int64_t piece, int) {
      const int64_t first = piece * step, rows = std::min(step, weight.out_features - first);
      RowStarts starts;
      table.multiply(starts.piece(weight, first, rows),
                     {inputs, arranged.stride(), tokens, bias.empty() ? nullptr : bias.data() + first, &y(token, first),
                      y.stride});
    });
  }
}

void expand_bits_bf16(const BitKernels& table, const BitRowsView& weight, int64_t first, int64_t count,
                      std::byte* target) {
  const int64_t row_bytes = weight.in_features * dtype_bytes(DType::bf16);
  for (const int64_t last = first + count; first < last; first += kMaxRows) {
    const int64_t rows = std::min(kMaxRows, last - first);
    RowStarts starts;
    table.expand(starts.piece(weight, first, rows), target);
    target += rows * row_bytes;
  }
}

void few_linear(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias,
                MatrixView<float> y) {
  few_bits(kernels<BitKernels>(), weight, x, bias, y);
}

}  // namespace esparse
