// The core of the pruning machine, the same for every method: a LayerProblem goes in, a LayerSolution comes out.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"
#include "calibrate/statistics.h"
#include "prune/recipe.h"
#include "prune/shuffle.h"

namespace esparse {

// Which channel orders are free at run time. The input of o_proj is made of heads whose values come from KV heads:
// there one order per KV head, used by all its query heads, can be folded into the rows of v_proj.
struct OrderFreedom {
  int64_t num_heads = 1;     // consecutive slices of the input channels
  int64_t num_kv_heads = 1;  // divides num_heads; slices that read the same KV head share their order
};

// The linears that read one input, and so share one channel order.
struct LayerProblem {
  std::vector<Matrix<float>> weights;  // each [out_features, in_features], the same in_features
  InputStatistics statistics;          // what the recipe's saliency needs
  OrderFreedom freedom;
};

struct LayerSolution {
  ChannelOrder order;                  // new position k holds old channel order[k]; empty = identity
  std::vector<Matrix<uint8_t>> masks;  // per weight, in the new order: 1 = kept
  std::vector<double> retained;        // per weight: share of its saliency that the mask keeps
};

// Where slices are no multiple of M wide, groups straddle them and the order stays the identity. Deterministic for any
// thread count.
LayerSolution solve_layer(const LayerProblem& problem, const Recipe& recipe);

}  // namespace esparse
