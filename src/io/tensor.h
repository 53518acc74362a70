// A named tensor as it lies in a file: type, shape and bytes. Looks, does not own.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace esparse {

// Files hold little-endian numbers and are used as they lie in memory.
static_assert(std::endian::native == std::endian::little);

std::string shape_text(std::span<const int64_t> shape);  // "[4096, 11008]"

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;       // outermost dimension first
  std::span<const std::byte> data;  // row-major, little endian, no alignment promised

  int64_t element_count() const { return static_cast<int64_t>(data.size()) / dtype_bytes(dtype); }
  std::string shape_text() const;  // "[4096, 11008]"
};

}  // namespace esparse
