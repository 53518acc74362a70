#include <algorithm>
#include <array>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/bit_kernels.h"
#include "kernels/few.h"

namespace esparse {
namespace {

// A quarter of it is the length of the streams that a kernel reads at once (simd/few_bits.h). 17 and not 16, so that
// the four do not lie a multiple of 4096 bytes apart and hinder each other in the L1 cache.
constexpr int64_t kRowsPerPiece = 68;

// Rows of x as the kernels want them, in memory of the calling thread.
class ArrangedX {
 public:
  explicit ArrangedX(int64_t in_features) : stride_(ceil_div(in_features, kBitColumns) * kBitColumns) {}

  const float* arrange(MatrixView<const float> x, bool pairs) {
    static thread_local std::vector<float> storage;
    const auto needed = static_cast<size_t>(x.rows * stride_) + kAlignment;
    if (storage.size() < needed) storage.resize(needed);
    float* first = storage.data();
    while (reinterpret_cast<uintptr_t>(first) % (kAlignment * sizeof(float)) != 0) ++first;
    for (int64_t token = 0; token < x.rows; ++token) {
      float* row = first + token * stride_;
      std::fill(std::copy_n(x.row(token).data(), x.cols, row), row + stride_, 0.0f);
      if (!pairs) continue;
      for (float* block = row; block < row + stride_; block += kBitColumns) separate_pairs(block);
    }
    return first;
  }
  int64_t stride() const { return stride_; }

 private:
  static constexpr int64_t kAlignment = 16;  // floats in a cache line

  static void separate_pairs(float* block) {
    std::array<float, kBitColumns> columns;
    std::copy_n(block, kBitColumns, columns.begin());
    for (int64_t k = 0; k < kBitColumns / 2; ++k) {
      block[k] = columns[2 * k];
      block[kBitColumns / 2 + k] = columns[2 * k + 1];
    }
  }

  int64_t stride_;
};

}  // namespace

void few_bits(const BitKernels& table, const BitRowsView& weight, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y) {
  ArrangedX arranged(weight.in_features);
  for (int64_t token = 0; token < x.rows; token += kMaxFewTokens) {
    const int64_t tokens = std::min(kMaxFewTokens, x.rows - token);
    const float* inputs = arranged.arrange(x.rows_from(token, tokens), table.pairs && weight.dtype == DType::bf16);
    const int64_t pieces = ceil_div(weight.out_features, kRowsPerPiece);
    parallel_for_sized(pieces, tokens * x.cols * y.cols, [&](int64_t piece, int) {
      const int64_t first = piece * kRowsPerPiece, rows = std::min(kRowsPerPiece, weight.out_features - first);
      std::array<const std::byte*, kRowsPerPiece + 1> row_values;
      for (int64_t row = 0; row <= rows; ++row) row_values[row] = weight.row_values(first + row);
      table.multiply({weight.dtype, rows, weight.in_features, row_values.data(), weight.row_values(weight.out_features),
                      weight.row_bits(first)},
                     {inputs, arranged.stride(), tokens, bias.empty() ? nullptr : bias.data() + first, &y(token, first),
                      y.stride});
    });
  }
}

void few_linear(const BitRowsView& weight, MatrixView<const float> x, std::span<const float> bias,
                MatrixView<float> y) {
  few_bits(kernels<BitKernels>(), weight, x, bias, y);
}

}  // namespace esparse
