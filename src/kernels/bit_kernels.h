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
  const std::byte* x = nullptr;  // [tokens], f32 or bf16 (BitKernels::pairs), zeros up to a multiple of kBitColumns
  int64_t x_stride = 0;          // bytes
  int64_t tokens = 0;
  const float* bias = nullptr;  // [rows] or null
  float* y = nullptr;           // token t, row r: y[t * y_stride + r]
  int64_t y_stride = 0;
};

struct BitKernels {
  const char* isa;
  // Whether bf16 weights take x rounded to bf16, nearest even: the result is then off by up to 2^-8 of sum |w x|
  // besides the rounding of the sum, and subnormal bf16 count as zero.
  bool pairs;
  void (*multiply)(const BitRowsPiece& piece, const FewTokens& few);
  // target [rows, in_features] bf16 = the rows of bf16, zeros where nothing is kept. Null without `pairs`.
  void (*expand)(const BitRowsPiece& piece, std::byte* target);
};

// The tail of a row of x is filled with zeros up to a multiple of this.
inline constexpr int64_t kBitColumns = 64;

extern const BitKernels kPortableBitKernels;

template <>
std::span<const TableEntry<BitKernels>> all_tables<BitKernels>();

// Rows [first, first + count) of bf16 into target [count, in_features]; `table` has `expand`.
void expand_bits_bf16(const BitKernels& table, const BitRowsView& weight, int64_t first, int64_t count,
                      std::byte* target);

// few_linear() (kernels/few.h) with a given table, for tests and benchmarks.
void few_bits(const BitKernels& table, const BitRowsView& weight, MatrixView<const float> x,
              std::span<const float> bias, MatrixView<float> y);

}  // namespace esparse
