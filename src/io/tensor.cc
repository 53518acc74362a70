#include "io/tensor.h"

#include <fmt/format.h>

namespace esparse {

std::string shape_text(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string TensorInfo::shape_text() const { return esparse::shape_text(shape); }

}  // namespace esparse
