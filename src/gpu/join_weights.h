// Several weights as one, row after row.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "kernels/weight.h"

namespace esparse {

struct JoinedWeight {
  WeightView view;
  std::shared_ptr<const void> owner;  // of what the view looks at
};

// Nothing where the weights do not have one form: dense, N:M as a checkpoint has it, or a bitmap, of one type and
// pattern, with the same inputs.
std::optional<JoinedWeight> join_weights(std::span<const WeightView> weights);

}  // namespace esparse
