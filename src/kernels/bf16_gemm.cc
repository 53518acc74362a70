#include "kernels/bf16_gemm.h"

#include <algorithm>
#include <atomic>
#include <string_view>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/bit_kernels.h"
#include "kernels/isa.h"
#include "kernels/narrow.h"
#include "kernels/onednn.h"
#include "kernels/scratch.h"
#include "kernels/tile_kernels.h"

namespace esparse {
namespace {

using dnnl::memory;

// Sizes and places of one product on one thread: c [tokens, rows] = x [tokens, depth] * weight [rows, depth]^T.
struct Product {
  memory::desc x, weight, y;
  dnnl::primitive_attr attributes;

  Product(int64_t tokens, int64_t rows, int64_t depth, int64_t y_stride, Into into)
      : x({tokens, depth}, memory::data_type::bf16, memory::dims{depth, 1}),
        weight({depth, rows}, memory::data_type::bf16, memory::dims{1, depth}),
        y({tokens, rows}, memory::data_type::f32, memory::dims{y_stride, 1}) {
    if (into == Into::replace) return;
    dnnl::post_ops add;
    add.append_sum(1.0f);
    attributes.set_post_ops(add);
  }
  dnnl::matmul::primitive_desc descriptor() const {
    return dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, weight, y), attributes, onednn_engine());
  }
  bool is_possible() const {
    try {
      return static_cast<bool>(descriptor());
    } catch (const dnnl::error&) {
      return false;
    }
  }
};

bool multiply(const Product& product, const std::byte* x, const std::byte* weight, float* y) {
  try {
    dnnl::stream stream(onednn_engine());
    const dnnl::matmul matmul(product.descriptor());
    memory source(product.x, onednn_engine(), const_cast<std::byte*>(x));
    memory rows(product.weight, onednn_engine(), const_cast<std::byte*>(weight));
    memory target(product.y, onednn_engine(), y);
    matmul.execute(stream, {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, rows}, {DNNL_ARG_DST, target}});
    stream.wait();
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

constexpr int64_t kTokenTile = 512;
constexpr int64_t kRowTile = 256;  // 2 MiB of a weight with 4096 inputs: at home in the second-level cache

// The rows of a weight as bf16: where they stand, or expanded into memory of the calling thread.
class RowsOfBf16 {
 public:
  explicit RowsOfBf16(const WeightView& weight) : weight_(weight) {}

  bool possible() const {
    return std::visit([](const auto& view) { return view.dtype == DType::bf16 && possible(view); }, weight_);
  }
  const std::byte* get(int64_t first, int64_t count) const {
    return std::visit([&](const auto& view) { return get(view, first, count); }, weight_);
  }

 private:
  static bool possible(const DenseView& view) { return reinterpret_cast<uintptr_t>(view.data) % 2 == 0; }
  static bool possible(const NmTilesView& view) {
    return view.of_eights() && kernels<TileKernels>().expand_eights != nullptr;
  }
  static bool possible(const SpenseView&) { return false; }
  template <typename View>
  static bool possible(const View&) {
    return kernels<BitKernels>().expand != nullptr;
  }

  static const std::byte* get(const DenseView& view, int64_t first, int64_t) {
    return view.data + first * view.row_bytes();
  }
  template <typename View>
  static const std::byte* get(const View& view, int64_t first, int64_t count) {
    static thread_local Scratch scratch;
    std::byte* target = scratch.grow(count * view.in_features * dtype_bytes(DType::bf16));
    if constexpr (std::is_same_v<View, SpenseView>) {
      ESPARSE_CHECK(false);  // not possible()
    } else if constexpr (std::is_same_v<View, NmTilesView>) {
      expand_tiles_bf16(kernels<TileKernels>(), view, first, count, target);
    } else {
      expand_bits_bf16(kernels<BitKernels>(), bit_rows(view), first, count, target);
    }
    return target;
  }

  const WeightView& weight_;
};

// Whether oneDNN takes the product of every tile. The first and the last tile of either kind have all the shapes there
// are.
bool all_possible(MatrixView<const float> x, MatrixView<float> y, Into into) {
  const auto last = [](int64_t size, int64_t tile) { return size - (ceil_div(size, tile) - 1) * tile; };
  for (const int64_t rows : {std::min(kRowTile, y.cols), last(y.cols, kRowTile)})
    for (const int64_t tokens : {std::min(kTokenTile, x.rows), last(x.rows, kTokenTile)})
      if (!Product(tokens, rows, x.cols, y.stride, into).is_possible()) return false;
  return true;
}

}  // namespace

bool has_bf16_gemm() {
  static const bool has = [] {
    if (current_isa() != Isa::avx512_bf16) return false;
    try {
      const auto descriptor = Product(64, 64, 64, 64, Into::replace).descriptor();
      return std::string_view(descriptor.impl_info_str()).find("ref") == std::string_view::npos;
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return has;
}

bool bf16_gemm(const WeightView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y,
               Into into) {
  const RowsOfBf16 rows_of_weight(weight);
  if (!has_bf16_gemm() || !rows_of_weight.possible()) return false;
  const int64_t row_tiles = ceil_div(y.cols, kRowTile), token_tiles = ceil_div(x.rows, kTokenTile);
  if (into == Into::add && !all_possible(x, y, into)) return false;
  static thread_local Scratch scratch;  // of the caller
  std::byte* rounded = scratch.grow(x.rows * x.cols * dtype_bytes(DType::bf16));
  narrow_rows(x, DType::bf16, rounded);
  const int64_t row_bytes = x.cols * dtype_bytes(DType::bf16);
  std::atomic<bool> done = true;
  parallel_for_sized(row_tiles * token_tiles, x.rows * x.cols * y.cols, [&](int64_t piece, int) {
    const int64_t first = piece / token_tiles * kRowTile, rows = std::min(kRowTile, y.cols - first);
    const int64_t token = piece % token_tiles * kTokenTile, tokens = std::min(kTokenTile, x.rows - token);
    const auto target = y.rows_from(token, tokens).cols_from(first, rows);
    if (!multiply(Product(tokens, rows, x.cols, y.stride, into), rounded + token * row_bytes,
                  rows_of_weight.get(first, rows), target.data))
      done = false;
    if (bias.empty()) return;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t row = 0; row < rows; ++row) target(t, row) += bias[first + row];
  });
  ESPARSE_CHECK(done || into == Into::replace);
  return done;
}

}  // namespace esparse
