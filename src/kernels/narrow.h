// f32 rows rounded to a stored type.
#pragma once

#include <cstddef>

#include "base/dtype.h"
#include "base/matrix.h"

namespace esparse {

// target [rows, cols] of dtype (f32, f16, bf16), one row after another, unaligned; to nearest, ties to even. f16
// overflows to infinity. Same bits for every thread count.
void narrow_rows(MatrixView<const float> source, DType dtype, std::byte* target);

}  // namespace esparse
