#include "kernels/dense_gemm.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/bf16_gemm.h"
#include "kernels/row_kernels.h"
#include "kernels/sgemm.h"

namespace esparse {
namespace {

// sgemm packs both operands of every tile, which costs about 5 % at 512 x 1024 and 20 % at 512 x 128: few large tiles,
// but at least four in a weight, so that four threads have work at 512 tokens.
constexpr int64_t kTokenTile = 512;
constexpr int64_t kMaxRowTile = 1024;
constexpr int64_t kMinRowTile = 64;

// Depends on the shape alone, never on the number of threads.
int64_t row_tile(int64_t out_features) {
  const int64_t quarter = ceil_div(ceil_div(out_features, 4), kMinRowTile) * kMinRowTile;
  return std::clamp(quarter, kMinRowTile, kMaxRowTile);
}

void widen_rows(const DenseView& weight, int64_t first, MatrixView<float> target) {
  for (int64_t row = 0; row < target.rows; ++row)
    row_kernels().widen(weight.dtype, weight.data + (first + row) * weight.row_bytes(), target.row(row).data(),
                        weight.in_features);
}
void widen_rows(const NmView& weight, int64_t first, MatrixView<float> target) {
  for (int64_t row = 0; row < target.rows; ++row)
    row_kernels().expand_bits(bit_rows(weight), first + row, target.row(row).data());
}
void widen_rows(const BitmapView& weight, int64_t first, MatrixView<float> target) {
  for (int64_t row = 0; row < target.rows; ++row)
    row_kernels().expand_bits(bit_rows(weight), first + row, target.row(row).data());
}
void widen_rows(const NmTilesView& weight, int64_t first, MatrixView<float> target) {
  nm_tiles_rows_f32(weight, first, target.rows, target);
}

// The rows as f32: the weight itself where it is that already, otherwise widened into `scratch`.
template <typename View>
MatrixView<const float> rows_as_f32(const View& weight, int64_t first, int64_t count, std::vector<float>& scratch) {
  if constexpr (std::is_same_v<View, DenseView>) {
    const std::byte* rows = weight.data + first * weight.row_bytes();
    if (weight.dtype == DType::f32 && reinterpret_cast<uintptr_t>(rows) % alignof(float) == 0)
      return {reinterpret_cast<const float*>(rows), count, weight.in_features};
  }
  const int64_t needed = count * weight.in_features;
  if (static_cast<int64_t>(scratch.size()) < needed) scratch.resize(needed);
  widen_rows(weight, first, MatrixView<float>(scratch.data(), count, weight.in_features));
  return {scratch.data(), count, weight.in_features};
}

template <typename View>
void multiply(const View& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  const int64_t tile = row_tile(weight.out_features), row_tiles = ceil_div(weight.out_features, tile);
  const int64_t token_tiles = ceil_div(x.rows, kTokenTile);
  parallel_for_sized(row_tiles * token_tiles, x.rows * x.cols * y.cols, [&](int64_t piece, int) {
    static thread_local std::vector<float> panel;
    const int64_t first = piece / token_tiles * tile, count = std::min(tile, weight.out_features - first);
    const int64_t token = piece % token_tiles * kTokenTile, tokens = std::min(kTokenTile, x.rows - token);
    const auto target = y.rows_from(token, tokens).cols_from(first, count);
    sgemm_transposed(1.0f, x.rows_from(token, tokens), rows_as_f32(weight, first, count, panel), target);
    if (bias.empty()) return;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t row = 0; row < count; ++row) target(t, row) += bias[first + row];
  });
}

}  // namespace

void dense_gemm(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y) {
  if (bf16_gemm(weight, x, bias, y)) return;
  std::visit([&](const auto& view) { multiply(view, x, bias, y); }, weight);
}

}  // namespace esparse
