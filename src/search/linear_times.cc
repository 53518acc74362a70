#include "search/linear_times.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "base/progress.h"
#include "base/timing.h"
#include "bench/contender.h"

namespace esparse {
namespace {

// Several seconds for the largest shapes of all: one slow turn must not decide.
constexpr double kSecondsPerShape = 5;

BenchPattern pattern_of(const PruneTarget& target) {
  BenchPattern pattern{target.text()};
  if (target.kind == TargetKind::dense) return pattern;
  pattern.nm = target.pattern;
  if (target.kind == TargetKind::spense) pattern.dense_fraction = target.dense_fraction;
  return pattern;
}

}  // namespace

Result<std::map<std::string, double>> LinearTimes::measure_shape(const Shape& shape,
                                                                 std::span<const PruneTarget> candidates,
                                                                 int repetitions) {
  const Matrix<float> values = random_weight({"", shape.out_features, shape.in_features, 1}, shape.dtype);
  Product product(values, 1);
  std::vector<PruneTarget> targets = {PruneTarget::dense()};
  for (const PruneTarget& candidate : candidates) {
    const bool splits = candidate.kind != TargetKind::spense || std::max(shape.out_features, shape.in_features) > 1;
    if (splits) targets.push_back(candidate);
  }
  std::vector<ColdWeights> weights;
  weights.reserve(targets.size());
  std::vector<std::function<void()>> runs;
  std::vector<size_t> owners;
  for (size_t index = 0; index < targets.size(); ++index) {
    ESPARSE_ASSIGN_OR_RETURN(ColdWeights cold, ColdWeights::create(values, shape.dtype, pattern_of(targets[index])));
    weights.push_back(std::move(cold));
    for (Contender& contender : linear_contenders(weights.back(), product)) {
      runs.push_back(std::move(contender.run));
      owners.push_back(index);
    }
  }
  const auto times = time_in_turns(runs, {3, std::max(3, repetitions), kSecondsPerShape});
  std::map<std::string, double> seconds;
  for (size_t run = 0; run < runs.size(); ++run) {
    const double here = median(times[run]);
    const auto [entry, added] = seconds.try_emplace(targets[owners[run]].text(), here);
    if (!added) entry->second = std::min(entry->second, here);
  }
  return seconds;
}

Result<LinearTimes> LinearTimes::measure(const Model& model, std::span<const PruneTarget> candidates, int repetitions) {
  LinearTimes times;
  for (const DecoderBlock& block : model.blocks())
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        times.seconds_[{linear->dtype(), linear->out_features(), linear->in_features()}] = {};
  Progress progress("timing linears", static_cast<int64_t>(times.seconds_.size()));
  for (auto& [shape, seconds] : times.seconds_) {
    ESPARSE_ASSIGN_OR_RETURN(seconds, measure_shape(shape, candidates, repetitions));
    progress.advance(1, fmt::format("{} x {}", shape.out_features, shape.in_features));
  }
  return times;
}

double LinearTimes::seconds_under(const DecoderBlock& block, const Recipe& recipe, std::span<const InputSite> sites,
                                  const SiteTargets& targets) const {
  const BlockRecipes recipes = recipes_under(block, recipe, targets);
  double seconds = 0;
  for (InputSite site : sites) {
    const auto linears = block.linears_at(site);
    for (size_t index = 0; index < linears.size(); ++index) {
      const LinearLayer& linear = *linears[index];
      seconds += seconds_.at({linear.dtype(), linear.out_features(), linear.in_features()})
                     .at(recipes[static_cast<size_t>(site)][index].target.text());
    }
  }
  return seconds;
}

}  // namespace esparse
