#include "prune/layer_figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "calibrate/entropy.h"
#include "prune/layer_order.h"
#include "prune/saliency.h"

namespace esparse {
namespace {

constexpr int64_t kMostChannels = 1500;  // points that a scatter plot still shows apart
constexpr int64_t kMostGroups = 200;
constexpr int64_t kPieceRows = 32, kPieceColumns = 96;  // 96: whole groups of 2, 3, 4, 6, 8, 12, 16, 24 and 32
constexpr int64_t kHistogramBins = 32;
constexpr double kBrightest = 0.99;  // share of the values below the highest level

// Numbers 0 to count - 1, evenly spaced where there are more than `most`.
std::vector<int64_t> evenly(int64_t count, int64_t most) {
  std::vector<int64_t> numbers;
  const int64_t taken = std::min(count, most);
  for (int64_t i = 0; i < taken; ++i) numbers.push_back(i * count / taken);
  return numbers;
}

// Of the sample's columns, as the histograms of the calibration count it.
std::vector<double> sample_entropy(const Matrix<float>& sample) {
  ChannelRanges ranges(sample.cols());
  ranges.add(sample.view());
  auto histograms = ranges.histograms({});
  if (!histograms.ok()) return {};
  histograms->add(sample.view());
  return histograms->entropy();
}

ActivationHistogram sample_histogram(const Matrix<float>& sample, int64_t channel, double entropy) {
  ActivationHistogram histogram{.channel = channel, .entropy = entropy};
  histogram.counts.resize(kHistogramBins);
  histogram.minimum = histogram.maximum = sample(0, channel);
  for (int64_t t = 0; t < sample.rows(); ++t) {
    histogram.minimum = std::min<double>(histogram.minimum, sample(t, channel));
    histogram.maximum = std::max<double>(histogram.maximum, sample(t, channel));
  }
  const double width = histogram.maximum - histogram.minimum;
  for (int64_t t = 0; t < sample.rows(); ++t) {
    const double place = width > 0 ? (sample(t, channel) - histogram.minimum) / width : 0;
    ++histogram.counts[std::min(static_cast<int64_t>(place * kHistogramBins), kHistogramBins - 1)];
  }
  return histogram;
}

// Recipes that gather second moments have the squares on their diagonal.
std::vector<double> channel_norms(const InputStatistics& statistics) {
  std::vector<double> norms = statistics.sum_squares;
  if (norms.empty())
    for (int64_t j = 0; j < statistics.gram.rows(); ++j) norms.push_back(statistics.gram(j, j));
  for (double& norm : norms) norm = std::sqrt(norm / static_cast<double>(statistics.tokens));
  return norms;
}

// Mean of each group of the first `pruned_columns` positions over all rows, relative to the mean of all, descending.
std::vector<double> group_means(const Matrix<float>& scores, int64_t pruned_columns, int64_t group) {
  std::vector<double> columns(scores.cols());
  for (int64_t i = 0; i < scores.rows(); ++i)
    for (int64_t k = 0; k < scores.cols(); ++k) columns[k] += scores(i, k);
  const double mean = std::accumulate(columns.begin(), columns.end(), 0.0) / static_cast<double>(columns.size());
  std::vector<double> means;
  for (int64_t first = 0; first + group <= pruned_columns; first += group)
    means.push_back(std::accumulate(columns.begin() + first, columns.begin() + first + group, 0.0) /
                    static_cast<double>(group) / (mean > 0 ? mean : 1));
  std::ranges::sort(means, std::greater());
  std::vector<double> shown;
  for (int64_t i : evenly(std::ssize(means), kMostGroups)) shown.push_back(means[i]);
  return shown;
}

double kept_share(const Matrix<float>& scores, const Matrix<uint8_t>& mask) {
  double kept = 0, all = 0;
  for (int64_t i = 0; i < mask.rows(); ++i)
    for (int64_t k = 0; k < mask.cols(); ++k) {
      all += scores(i, k);
      if (mask(i, k) != 0) kept += scores(i, k);
    }
  return all > 0 ? kept / all : 1;
}

class PieceMaker {
 public:
  PieceMaker(const std::vector<int64_t>& rows, int64_t columns) : rows_(rows), columns_(columns) {}

  // scores, kept [out, in] by position, channels by position.
  SaliencyPiece make(const Matrix<float>& scores, const Matrix<uint8_t>& kept, const ChannelOrder& order,
                     double brightest) const {
    SaliencyPiece piece;
    for (int64_t k = 0; k < columns_; ++k) piece.channels.push_back(order.empty() ? k : order[k]);
    for (int64_t row : rows_) {
      auto& levels = piece.levels.emplace_back();
      auto& flags = piece.kept.emplace_back();
      for (int64_t k = 0; k < columns_; ++k) {
        const double share = brightest > 0 ? std::sqrt(std::min(scores(row, k) / brightest, 1.0)) : 0;
        levels.push_back(static_cast<int>(std::lround(share * (kSaliencyLevels - 1))));
        flags.push_back(kept(row, k) != 0);
      }
    }
    return piece;
  }

  double brightest(const Matrix<float>& scores) const {
    std::vector<float> values;
    for (int64_t row : rows_) values.insert(values.end(), scores.row(row).begin(), scores.row(row).end());
    const auto at = values.begin() + static_cast<ptrdiff_t>(kBrightest * static_cast<double>(values.size() - 1));
    std::ranges::nth_element(values, at);
    return *at;
  }

 private:
  const std::vector<int64_t>& rows_;
  int64_t columns_;
};

}  // namespace

void FigureRecorder::record_channels(const InputStatistics& statistics) {
  if (statistics.sample.rows() == 0) return;
  started_.entropy_of_sample = statistics.entropy.empty();
  const std::vector<double> entropy =
      started_.entropy_of_sample ? sample_entropy(statistics.sample) : statistics.entropy;
  const std::vector<double> norms = channel_norms(statistics);
  if (entropy.size() != norms.size()) return;
  for (int64_t channel : evenly(std::ssize(norms), kMostChannels))
    started_.channels.push_back({channel, norms[channel], entropy[channel]});
  // Of the shown channels, so that the plot and the histograms speak of the same ones.
  const auto [poorest, richest] = std::ranges::minmax_element(started_.channels, {}, &ChannelFigure::entropy);
  for (const auto& channel : {*richest, *poorest})
    started_.histograms.push_back(sample_histogram(statistics.sample, channel.channel, channel.entropy));
}

void FigureRecorder::before(LayerProblem& problem) {
  index_.reset();
  for (size_t i = 0; i < problem.linears.size(); ++i) {
    LinearProblem& linear = problem.linears[i];
    if (linear.name != linear_ || !linear.recipe.prunes()) continue;
    index_ = i;
    linear.keep_scores = true;
    target_ = linear.recipe.target;
    part_ = pruned_part(problem, linear);
    plain_ = plain_order(problem.last_channels, linear.weight.cols());
    started_ = {};
    started_.linear = linear.name;
    started_.pattern = target_.text();
    started_.saliency = linear.recipe.saliency->name;
    started_.shuffle = linear.recipe.shuffle.text();
    started_.group = target_.kind == TargetKind::unstructured ? 0 : target_.pattern.group;
    started_.out_features = linear.weight.rows();
    started_.in_features = linear.weight.cols();
    record_channels(problem.statistics);
  }
}

void FigureRecorder::after(const LayerSolution& solution) {
  if (!index_) return;
  const LinearSolution& solved = solution.linears[*index_];
  const Matrix<float>& scores = solved.scores;  // by position
  if (scores.rows() == 0) return;
  const Matrix<float> weight = permute_columns<float>(solved.weight.view(), solution.order);
  Matrix<uint8_t> kept(scores.rows(), scores.cols());
  for (int64_t i = 0; i < kept.rows(); ++i)
    for (int64_t k = 0; k < kept.cols(); ++k) kept(i, k) = weight(i, k) != 0.0f;

  started_.rows = evenly(scores.rows(), kPieceRows);
  const PieceMaker maker(started_.rows, std::min(scores.cols(), kPieceColumns));
  const double brightest = maker.brightest(scores);
  started_.after = maker.make(scores, kept, solution.order, brightest);
  started_.retained = solved.retained;
  started_.retained_before = solved.retained;
  const int64_t group = started_.group > 0 ? started_.group : 1;
  started_.group_means_after = group_means(scores, part_->columns, group);
  if (solution.order != plain_) {
    const Matrix<float> given = restore_columns<float>(scores.view(), solution.order);
    const Matrix<float> old = permute_columns<float>(given.view(), plain_);
    Matrix<uint8_t> mask(old.rows(), old.cols());
    make_part_mask(old.view(), target_, *part_, mask.view());
    started_.before = maker.make(old, mask, plain_, brightest);
    started_.group_means_before = group_means(old, part_->columns, group);
    started_.retained_before = kept_share(old, mask);
  }
  figures_ = std::move(started_);
}

LayerFigures figures_of_weights(const LinearLayer& linear, std::string pattern, int64_t group) {
  Matrix<float> scores = linear.weight_as_f32();
  Matrix<uint8_t> kept(scores.rows(), scores.cols());
  for (int64_t i = 0; i < kept.rows(); ++i)
    for (int64_t k = 0; k < kept.cols(); ++k) {
      kept(i, k) = scores(i, k) != 0.0f;
      scores(i, k) = std::abs(scores(i, k));
    }
  LayerFigures figures;
  figures.linear = linear.name();
  figures.pattern = std::move(pattern);
  figures.saliency = "magnitude";
  figures.shuffle = "unknown";
  figures.group = group;
  figures.out_features = scores.rows();
  figures.in_features = scores.cols();
  figures.rows = evenly(scores.rows(), kPieceRows);
  const PieceMaker maker(figures.rows, std::min(scores.cols(), kPieceColumns));
  figures.after = maker.make(scores, kept, {}, maker.brightest(scores));
  figures.group_means_after = group_means(scores, scores.cols(), std::max<int64_t>(group, 1));
  return figures;
}

}  // namespace esparse
