// Weights that benchmarks multiply with.
#pragma once

#include <cstddef>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "base/status.h"
#include "bench/bench_pattern.h"
#include "bench/linear_shapes.h"
#include "kernels/weight.h"

namespace esparse {

// Random values in [-1, 1) that `dtype` holds exactly, so that every contender multiplies with the same numbers.
Matrix<float> random_weight(const LinearShape& shape, DType dtype);

// Row-major bytes of `dtype` with the pattern applied.
std::vector<std::byte> stored_rows(const Matrix<float>& values, DType dtype, const BenchPattern& pattern);

// A weight as a checkpoint has it: dense or packed by its pattern.
class StoredWeight {
 public:
  static Result<StoredWeight> create(const Matrix<float>& values, DType dtype, const BenchPattern& pattern);

  WeightView view() const;
  const std::vector<std::byte>& rows() const { return rows_; }  // stored_rows()

 private:
  DType dtype_ = DType::bf16;
  int64_t out_features_ = 0, in_features_ = 0;
  std::vector<std::byte> rows_;
  std::variant<std::monostate, NmMatrix, BitmapMatrix, SpenseMatrix> packed_;
};

}  // namespace esparse
