// From saliency to mask: in every row and group of M consecutive columns the N largest scores are kept.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "sparse/pattern.h"

namespace esparse {

// mask(i, j) = 1 where kept, else 0; ties keep the lower column. cols must be a multiple of M. NaN scores must not
// occur.
void nm_mask(MatrixView<const float> saliency, NmPattern pattern, MatrixView<uint8_t> mask);

}  // namespace esparse
