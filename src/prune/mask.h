// From saliency to mask: in every row and group of M consecutive columns the N largest scores are kept, in a shorter
// last group as many as NmPattern::kept_in() says.
#pragma once

#include <cstdint>

#include "base/matrix.h"
#include "sparse/pattern.h"

namespace esparse {

// mask(i, j) = 1 where kept, else 0; ties keep the lower column. NaN scores must not occur.
void nm_mask(MatrixView<const float> saliency, NmPattern pattern, MatrixView<uint8_t> mask);

}  // namespace esparse
