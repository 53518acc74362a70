#include "prune/dsnot.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// Per input channel.
struct Channels {
  std::vector<double> mean;        // mean over the sequences of the sum over their tokens
  std::vector<double> reluctance;  // variance^power
};

Channels channel_moments(const InputStatistics& statistics, double power) {
  ESPARSE_CHECK(statistics.sequences > 0 && statistics.tokens > 0);
  const auto tokens = static_cast<double>(statistics.tokens);
  Channels channels{statistics.sum, std::vector<double>(statistics.sum.size())};
  for (size_t j = 0; j < statistics.sum.size(); ++j) {
    channels.mean[j] /= static_cast<double>(statistics.sequences);
    const double square = statistics.sum_squares[j] / tokens, mean = statistics.sum[j] / tokens;
    // A constant channel has no variance but what rounding leaves; the floor makes it one finite, tiny number.
    channels.reluctance[j] = std::pow(std::max(square - mean * mean, 1e-12 * square), power);
  }
  return channels;
}

struct Candidate {
  double rank;  // the largest comes first
  int64_t column;
};

// Ranked weights, taken one by one: a row needs a few of its thousands. Of equals, `lower_first` decides.
class CandidateHeap {
 public:
  explicit CandidateHeap(bool lower_first) : lower_first_(lower_first) {}

  void assign(std::vector<Candidate> candidates) {
    heap_ = std::move(candidates);
    std::ranges::make_heap(heap_, Later{lower_first_});
  }
  std::optional<int64_t> take() {
    if (heap_.empty()) return std::nullopt;
    std::ranges::pop_heap(heap_, Later{lower_first_});
    const int64_t column = heap_.back().column;
    heap_.pop_back();
    return column;
  }

 private:
  struct Later {
    bool lower_first;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.rank != b.rank) return a.rank < b.rank;
      return lower_first ? a.column > b.column : a.column < b.column;
    }
  };

  bool lower_first_;
  std::vector<Candidate> heap_;
};

// One row at work.
class RowRefiner {
 public:
  RowRefiner(std::span<const float> weight, const Channels& channels, std::span<const float> scores,
             const PruneTarget& target, std::span<uint8_t> mask)
      : channels_(channels), scores_(scores), target_(target), mask_(mask), was_kept_(mask.begin(), mask.end()) {
    contribution_.resize(weight.size());
    for (size_t j = 0; j < weight.size(); ++j) {
      contribution_[j] = weight[j] * channels.mean[j];
      if (mask[j] == 0) error_ += contribution_[j];
    }
    sign_ = error_ > 0.0 ? 1.0 : -1.0;  // stays the error's sign to the end
  }

  int64_t run(const DsnotOptions& options) {
    if (!(std::fabs(error_) > options.update_threshold)) return 0;
    collect_candidates();
    int64_t exchanges = 0;
    for (int cycle = 0; cycle < options.max_cycle && std::fabs(error_) > options.update_threshold; ++cycle) {
      const auto grown = grow_.take();
      if (!grown) break;
      const auto pruned = target_.kind == TargetKind::nm ? least_of_group(*grown) : prune_.take();
      if (!pruned && target_.kind == TargetKind::nm) continue;  // its group has no weight to give
      if (!pruned) break;
      const double after = error_ + contribution_[*pruned] - contribution_[*grown];
      if (!(after * sign_ > 0.0)) break;
      error_ = after;
      mask_[*grown] = 1;
      mask_[*pruned] = 0;
      ++exchanges;
    }
    return exchanges;
  }

 private:
  // A weight is exchanged at most once: pruned ones may grow, kept ones may be pruned, as they stood at the start.
  void collect_candidates() {
    std::vector<Candidate> grow, prune;
    for (int64_t j = 0; j < static_cast<int64_t>(mask_.size()); ++j) {
      const double gain = sign_ * contribution_[j];
      if (mask_[j] == 0 && gain > 0.0) grow.push_back({gain / channels_.reluctance[j], j});
      if (target_.kind == TargetKind::unstructured && can_go(j)) prune.push_back({-scores_[j], j});
    }
    grow_.assign(std::move(grow));
    prune_.assign(std::move(prune));
  }

  bool can_go(int64_t j) const { return was_kept_[j] != 0 && mask_[j] != 0 && sign_ * contribution_[j] < 0.0; }

  // Of equal scores the higher column goes, as in the masks.
  std::optional<int64_t> least_of_group(int64_t grown) const {
    const int64_t first = grown - grown % target_.pattern.group;
    const int64_t end = std::min<int64_t>(first + target_.pattern.group, static_cast<int64_t>(mask_.size()));
    std::optional<int64_t> least;
    for (int64_t j = first; j < end; ++j)
      if (can_go(j) && (!least || scores_[j] <= scores_[*least])) least = j;
    return least;
  }

  const Channels& channels_;
  std::span<const float> scores_;
  const PruneTarget& target_;
  std::span<uint8_t> mask_;
  std::vector<uint8_t> was_kept_;
  std::vector<double> contribution_;  // w_ij * mean_j: what the weight adds to the expected output
  double error_ = 0.0;                // contributions of the pruned weights together
  double sign_ = 1.0;
  CandidateHeap grow_{true}, prune_{false};
};

}  // namespace

Status DsnotOptions::validate() const {
  if (max_cycle < 0) return invalid_argument("DSnoT cycles: expected at least 0, got {}", max_cycle);
  if (!(std::isfinite(update_threshold) && update_threshold >= 0))
    return invalid_argument("DSnoT threshold: expected a number of at least 0, got {}", update_threshold);
  if (!(variance_power >= 0 && variance_power <= 8))
    return invalid_argument("DSnoT variance power: expected 0 to 8, got {}", variance_power);
  return {};
}

int64_t dsnot_refine(MatrixView<const float> weight, const InputStatistics& statistics, MatrixView<const float> scores,
                     const PruneTarget& target, const DsnotOptions& options, MatrixView<uint8_t> mask) {
  ESPARSE_CHECK(weight.rows == mask.rows && weight.cols == mask.cols);
  ESPARSE_CHECK(weight.rows == scores.rows && weight.cols == scores.cols);
  ESPARSE_CHECK(static_cast<int64_t>(statistics.sum.size()) == weight.cols);
  ESPARSE_CHECK(static_cast<int64_t>(statistics.sum_squares.size()) == weight.cols);
  if (target.kind == TargetKind::dense) return 0;
  const Channels channels = channel_moments(statistics, options.variance_power);
  constexpr int64_t kChunkRows = 16;
  std::vector<int64_t> exchanges(weight.rows);
  parallel_for_sized(ceil_div(weight.rows, kChunkRows), weight.rows * weight.cols, [&](int64_t chunk, int) {
    const int64_t end = std::min(weight.rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end; ++row)
      exchanges[row] = RowRefiner(weight.row(row), channels, scores.row(row), target, mask.row(row)).run(options);
  });
  return std::accumulate(exchanges.begin(), exchanges.end(), int64_t{0});
}

}  // namespace esparse
