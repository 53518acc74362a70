// The linear assignment problem: give every row a column of its own so that the chosen values add up to the most.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"

namespace esparse {

// result[row] = its column. `value` is square and finite. Exact but for rounding in double; deterministic, one thread.
// O(n^3) at worst. Column prices come from an auction (D. Bertsekas, Annals of Operations Research 14, 1988), then
// shortest augmenting paths (R. Jonker and A. Volgenant, Computing 38, 1987) make the assignment: paths alone take near
// n^3 / 2 steps where all rows prefer the same columns, as groups of channels do.
std::vector<int32_t> maximal_assignment(MatrixView<const double> value);

}  // namespace esparse
