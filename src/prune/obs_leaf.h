// The innermost columns of the OBS sweep.
#pragma once

#include <cstdint>
#include <optional>

#include "base/matrix.h"
#include "sparse/pattern.h"

namespace esparse {

inline constexpr int64_t kMaxLeafColumns = NmPattern::kMaxGroup;

// Sweeps at most kMaxLeafColumns columns of some rows: weight [rows, columns] is changed in place, errors gets
// w / U_jj of removed weights and 0 of kept ones, u [columns, columns] upper. With a pattern the mask is chosen (a
// group starts at the first column), without one it is read. Returns the sum of squared errors. One thread.
double sweep_leaf(MatrixView<float> weight, MatrixView<const float> u, std::optional<NmPattern> pattern,
                  MatrixView<uint8_t> mask, MatrixView<float> errors);

}  // namespace esparse
