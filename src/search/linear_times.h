// How long one token takes in a linear of each shape and target, on this machine.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/status.h"
#include "model/model.h"
#include "prune/recipe.h"
#include "prune/target.h"
#include "search/search_space.h"

namespace esparse {

class LinearTimes {
 public:
  // Measures every shape of the blocks' linears, dense and at every candidate, on random cold weights: medians of
  // `repetitions` turns in which all targets of a shape take part, of the fastest path each.
  static Result<LinearTimes> measure(const Model& model, std::span<const PruneTarget> candidates, int repetitions);

  // Of the block's linears at the sites under these targets.
  double seconds_under(const DecoderBlock& block, const Recipe& recipe, std::span<const InputSite> sites,
                       const SiteTargets& targets) const;

 private:
  struct Shape {
    DType dtype;
    int64_t out_features, in_features;
    auto operator<=>(const Shape&) const = default;
  };
  static Result<std::map<std::string, double>> measure_shape(const Shape& shape,
                                                             std::span<const PruneTarget> candidates, int repetitions);

  std::map<Shape, std::map<std::string, double>> seconds_;  // by the target's text
};

}  // namespace esparse
