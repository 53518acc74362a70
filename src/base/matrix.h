// Row-major matrices with their shape: MatrixView looks, Matrix owns. Indices are checked by construction of the
// shape, not per access; code that takes a shape from a file checks it first.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "base/status.h"

namespace esparse {

template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements from one row to the next, >= cols

  MatrixView() = default;
  MatrixView(T* data_in, int64_t rows_in, int64_t cols_in) : MatrixView(data_in, rows_in, cols_in, cols_in) {}
  MatrixView(T* data_in, int64_t rows_in, int64_t cols_in, int64_t stride_in)
      : data(data_in), rows(rows_in), cols(cols_in), stride(stride_in) {
    ESPARSE_CHECK(rows >= 0 && cols >= 0 && stride >= cols);
  }
  // A view of T is also a view of const T.
  operator MatrixView<const T>() const requires(!std::is_const_v<T>) { return {data, rows, cols, stride}; }

  std::span<T> row(int64_t index) const { return {data + index * stride, static_cast<size_t>(cols)}; }
  T& operator()(int64_t row_index, int64_t col_index) const { return data[row_index * stride + col_index]; }
  MatrixView rows_from(int64_t first, int64_t count) const { return {data + first * stride, count, cols, stride}; }
  MatrixView cols_from(int64_t first, int64_t count) const { return {data + first, rows, count, stride}; }
};

template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols) : values_(static_cast<size_t>(rows * cols)), rows_(rows), cols_(cols) {}

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }
  std::span<T> values() { return values_; }
  std::span<const T> values() const { return values_; }

  MatrixView<T> view() { return {values_.data(), rows_, cols_}; }
  MatrixView<const T> view() const { return {values_.data(), rows_, cols_}; }
  std::span<T> row(int64_t index) { return view().row(index); }
  std::span<const T> row(int64_t index) const { return view().row(index); }
  T& operator()(int64_t row_index, int64_t col_index) { return values_[row_index * cols_ + col_index]; }
  const T& operator()(int64_t row_index, int64_t col_index) const { return values_[row_index * cols_ + col_index]; }

 private:
  std::vector<T> values_;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
};

}  // namespace esparse
