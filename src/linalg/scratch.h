// Large working memory that is written before it is read. A Matrix would be zeroed by one thread first; here the pages
// are touched by the threads that fill them.
#pragma once

#include <memory>

#include "base/matrix.h"

namespace esparse {

template <typename T>
class ScratchMatrix {
 public:
  ScratchMatrix(int64_t rows, int64_t cols)
      : values_(std::make_unique_for_overwrite<T[]>(static_cast<size_t>(rows * cols))), rows_(rows), cols_(cols) {}
  MatrixView<T> view() { return {values_.get(), rows_, cols_}; }

 private:
  std::unique_ptr<T[]> values_;
  int64_t rows_;
  int64_t cols_;
};

}  // namespace esparse
