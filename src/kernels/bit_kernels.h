// The inner loops on rows of kept values with a bitmask (sparse/bit_rows.h), per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/matrix.h"
#include "kernels/isa.h"
#include "sparse/bit_rows.h"

namespace esparse {

// Some rows of a matrix as a kernel gets them.
struct BitRowsPiece {
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t in_features = 0;
  const std::byte* const* row_values = nullptr;  // [rows + 1]: where the values of each row start, of the last end
  const std::byte* values_end = nullptr;         // of the whole matrix: nothing from there on may be read
  const uint8_t* bitmask = nullptr;              // of the first row; [rows, ceil(in_features / 8)]
};

// Up to kMaxFewTokens tokens, and where their outputs for the rows of a piece go.
struct FewTokens {
  const float* x = nullptr;  // [tokens, x_stride], in the order that arrange_x() gives
  int64_t x_stride = 0;
  int64_t tokens = 0;
  const float* bias = nullptr;  // [rows] or null
  float* y = nullptr;           // token t, row r: y[t * y_stride + r]
  int64_t y_stride = 0;
};

struct BitKernels {
  const char* isa;
  // Whether bf16 weights want every 32 columns of x as the 16 even ones, then the 16 odd ones.
  bool pairs;
  void (*multiply)(const BitRowsPiece& piece, const FewTokens& few);
};

// The tail of a row of x is filled with zeros up to a multiple of this.
inline constexpr int64_t kBitColumns = 32;

extern const BitKernels kPortableBitKernels;

template <>
std::span<const TableEntry<BitKernels>> all_tables<BitKernels>();

// few_linear() (kernels/few.h) with a given table, for tests and benchmarks.
void few_bits(const BitKernels& table, const BitRowsView& weight, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse
