// What one pruned linear looks like: numbers behind the pictures of a report, small enough to keep beside the model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "model/linear_layer.h"
#include "prune/layer_problem.h"

namespace esparse {

// A channel of the input.
struct ChannelFigure {
  int64_t channel = 0;
  double norm = 0;     // root of the mean square over the calibration tokens
  double entropy = 0;  // nats; NaN where there is none
};

// How often the inputs of one channel fell into equal bins of [minimum, maximum], over a sample of tokens.
struct ActivationHistogram {
  int64_t channel = 0;
  double entropy = 0;
  double minimum = 0, maximum = 0;
  std::vector<int64_t> counts = {};
};

// A piece of the saliency matrix: some rows, the first positions of an order. Levels 0 to kSaliencyLevels - 1 by square
// root, the highest for the 99th percentile and above.
struct SaliencyPiece {
  std::vector<int64_t> channels;         // of each position
  std::vector<std::vector<int>> levels;  // [rows][positions]
  std::vector<std::vector<bool>> kept;   // [rows][positions]: what survives (of the final weights; before: would)
};
inline constexpr int kSaliencyLevels = 16;

struct LayerFigures {
  std::string linear, pattern, saliency, shuffle;
  int64_t group = 0;  // M of N:M, of Spense too; 0: unstructured
  int64_t out_features = 0, in_features = 0;
  bool entropy_of_sample = false;               // of the sampled tokens, because the recipe does not gather it
  std::vector<ChannelFigure> channels;          // evenly spaced ones where there are too many
  std::vector<ActivationHistogram> histograms;  // the channels of most and of least entropy
  std::vector<int64_t> rows;                    // of the pieces
  std::optional<SaliencyPiece> before;          // in the old order; only where there is a shuffle
  SaliencyPiece after;
  // Mean saliency of each group that is pruned, over all rows, by the mean of all, descending; evenly spaced ones of
  // too many.
  std::vector<double> group_means_before, group_means_after;
  double retained_before = 1, retained = 1;  // share of this linear's saliency that the pattern keeps

  Json to_json() const;
  static Result<LayerFigures> parse(const Json& json, const std::string& label);
};

// Records one linear while it is solved: before() marks it in the problem and looks at the statistics, after() takes
// the rest from the solution.
class FigureRecorder {
 public:
  explicit FigureRecorder(std::string linear) : linear_(std::move(linear)) {}

  void before(LayerProblem& problem);
  void after(const LayerSolution& solution);
  // Nothing until the linear was solved.
  const std::optional<LayerFigures>& figures() const { return figures_; }

 private:
  void record_channels(const InputStatistics& statistics);

  std::string linear_;
  std::optional<size_t> index_;  // in the problem at work
  PruneTarget target_;
  std::optional<PrunedPart> part_;
  ChannelOrder plain_;  // without a shuffle
  LayerFigures started_;
  std::optional<LayerFigures> figures_;
};

// Of a linear whose statistics nobody kept: the magnitudes of the weights that are there. `group` is the M of its
// pattern, 0 for none.
LayerFigures figures_of_weights(const LinearLayer& linear, std::string pattern, int64_t group);

}  // namespace esparse
