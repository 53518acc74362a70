#include "kernels/bf16_gemm.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <dnnl.hpp>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/isa.h"
#include "kernels/narrow.h"

namespace esparse {
namespace {

using dnnl::memory;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

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
    return dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, weight, y), attributes, cpu_engine());
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
    dnnl::stream stream(cpu_engine());
    const dnnl::matmul matmul(product.descriptor());
    memory source(product.x, cpu_engine(), const_cast<std::byte*>(x));
    memory rows(product.weight, cpu_engine(), const_cast<std::byte*>(weight));
    memory target(product.y, cpu_engine(), y);
    matmul.execute(stream, {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, rows}, {DNNL_ARG_DST, target}});
    stream.wait();
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

constexpr int64_t kTokenTile = 512;
constexpr int64_t kRowTile = 256;  // 2 MiB of a weight with 4096 inputs: at home in the second-level cache

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

bool bf16_gemm(const DenseView& weight, MatrixView<const float> x, std::span<const float> bias, MatrixView<float> y,
               Into into) {
  if (!has_bf16_gemm() || weight.dtype != DType::bf16 || reinterpret_cast<uintptr_t>(weight.data) % 2 != 0)
    return false;
  const int64_t row_tiles = ceil_div(weight.out_features, kRowTile), token_tiles = ceil_div(x.rows, kTokenTile);
  const auto product_at = [&](int64_t row_tile, int64_t token_tile) {
    return Product(std::min(kTokenTile, x.rows - token_tile * kTokenTile),
                   std::min(kRowTile, weight.out_features - row_tile * kRowTile), x.cols, y.stride, into);
  };
  // The first and the last tile of either kind have all the shapes that there are.
  for (const int64_t row_tile : {int64_t{0}, row_tiles - 1})
    for (const int64_t token_tile : {int64_t{0}, token_tiles - 1})
      if (!product_at(row_tile, token_tile).is_possible()) return false;
  std::vector<std::byte> rounded(static_cast<size_t>(x.rows * x.cols * dtype_bytes(DType::bf16)));
  narrow_rows(x, DType::bf16, rounded.data());
  parallel_for_sized(row_tiles * token_tiles, x.rows * x.cols * y.cols, [&](int64_t piece, int) {
    const int64_t row_tile = piece / token_tiles, token_tile = piece % token_tiles;
    const int64_t first = row_tile * kRowTile, token = token_tile * kTokenTile;
    const int64_t rows = std::min(kRowTile, weight.out_features - first), tokens = std::min(kTokenTile, x.rows - token);
    const auto target = y.rows_from(token, tokens).cols_from(first, rows);
    ESPARSE_CHECK(multiply(product_at(row_tile, token_tile), rounded.data() + token * weight.row_bytes(),
                           weight.data + first * weight.row_bytes(), target.data));
    if (bias.empty()) return;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t row = 0; row < rows; ++row) target(t, row) += bias[first + row];
  });
  return true;
}

}  // namespace esparse
