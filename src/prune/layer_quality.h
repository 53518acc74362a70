// How far a pruned layer's outputs are from those it should have, on a sample of real inputs.
#pragma once

#include "base/matrix.h"
#include "prune/pruned_part.h"
#include "prune/shuffle.h"

namespace esparse {

// |x W^T - x T^T|^2 / |x T^T|^2 over the sample's rows; weight W and target T [out, in], sample [tokens, in].
// 0 when both outputs are zero.
double output_error(MatrixView<const float> sample, MatrixView<const float> weight, MatrixView<const float> target);

// `weight` under a magnitude mask of the pattern, in the part that is pruned; `order` (empty: the identity) brings its
// columns to the front.
Matrix<float> prune_by_magnitude(MatrixView<const float> weight, const PruneTarget& pattern, const PrunedPart& part,
                                 const ChannelOrder& order);

}  // namespace esparse
