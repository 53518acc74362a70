#include "calibrate/entropy.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// Channels one thread handles together: 32 rows of 100 counters are 12.5 KiB and stay in the L1 cache, and 32 floats
// of a token are two whole cache lines.
constexpr int64_t kTileChannels = 32;

// body(first, end) for tiles of channels of which each takes `rows` steps, in parallel.
template <typename Body>
void for_each_tile(int64_t channels, int64_t rows, Body&& body) {
  parallel_for_sized(ceil_div(channels, kTileChannels), channels * rows, [&](int64_t tile, int) {
    body(tile * kTileChannels, std::min(channels, (tile + 1) * kTileChannels));
  });
}

double entropy_of_counts(std::span<const uint32_t> counts) {
  double total = 0.0;
  for (uint32_t count : counts) total += count;
  double entropy = 0.0;
  for (uint32_t count : counts) {
    if (count == 0) continue;
    const double share = count / total;
    entropy -= share * std::log(share);
  }
  return std::max(entropy, 0.0);  // turns the -0.0 of a single bin into 0.0
}

// The fine bin in which the running count first reaches `share` of all values.
int64_t quantile_bin(std::span<const uint32_t> fine, double share) {
  uint64_t total = 0;
  for (uint32_t count : fine) total += count;
  const double wanted = std::max(1.0, share * static_cast<double>(total));
  uint64_t running = 0;
  for (size_t bin = 0; bin < fine.size(); ++bin) {
    running += fine[bin];
    if (static_cast<double>(running) >= wanted) return static_cast<int64_t>(bin);
  }
  return static_cast<int64_t>(fine.size()) - 1;
}

// Deals fine bins out to `bins` coarse ones between the quantiles, by the middle of each; what lies outside goes to the
// end bins.
std::vector<uint32_t> coarsen(std::span<const uint32_t> fine, int bins, double quantile) {
  const int64_t low = quantile_bin(fine, 1.0 - quantile);
  const int64_t high = quantile_bin(fine, quantile);
  std::vector<uint32_t> coarse(bins);
  for (int64_t bin = 0; bin < static_cast<int64_t>(fine.size()); ++bin) {
    const double position = (static_cast<double>(bin - low) + 0.5) / static_cast<double>(high + 1 - low) * bins;
    coarse[static_cast<int64_t>(std::clamp(position, 0.0, bins - 1.0))] += fine[bin];
  }
  return coarse;
}

}  // namespace

Result<EntropyRange> EntropyRange::parse(std::string_view text) {
  if (text == "channel") return EntropyRange{EntropyRangeKind::channel, 1.0};
  if (text == "layer") return EntropyRange{EntropyRangeKind::layer, 1.0};
  constexpr std::string_view kPrefix = "quantile(";
  if (text.starts_with(kPrefix) && text.ends_with(")")) {
    const std::string_view digits = text.substr(kPrefix.size(), text.size() - kPrefix.size() - 1);
    double quantile = 0.0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), quantile);
    if (error == std::errc() && end == digits.data() + digits.size() && quantile > 0.5 && quantile < 1.0)
      return EntropyRange{EntropyRangeKind::quantile, quantile};
  }
  return invalid_argument("entropy range {:?}: expected channel, layer or quantile(q) with 0.5 < q < 1",
                          text.substr(0, 40));
}

std::string EntropyRange::text() const {
  if (kind == EntropyRangeKind::quantile) return fmt::format("quantile({})", quantile);
  return kind == EntropyRangeKind::layer ? "layer" : "channel";
}

ChannelHistograms::ChannelHistograms(std::vector<float> minimum, std::vector<float> maximum, int bins, double quantile)
    : minimum_(std::move(minimum)),
      maximum_(std::move(maximum)),
      bins_(bins),
      quantile_(quantile),
      counted_bins_(quantile < 1.0 ? kFineBins : bins),
      counts_(minimum_.size() * counted_bins_) {
  ESPARSE_CHECK(minimum_.size() == maximum_.size() && bins >= 1 && quantile > 0.5);
}

void ChannelHistograms::add(MatrixView<const float> inputs) {
  ESPARSE_CHECK(inputs.cols == static_cast<int64_t>(minimum_.size()));
  for_each_tile(inputs.cols, inputs.rows, [&](int64_t first, int64_t end) {
    double scale[kTileChannels];
    for (int64_t j = first; j < end; ++j) {
      const double extent = static_cast<double>(maximum_[j]) - minimum_[j];
      scale[j - first] = extent > 0.0 ? counted_bins_ / extent : 0.0;
    }
    const double last_bin = counted_bins_ - 1;
    int32_t bins[kTileChannels];  // a loop of its own, because it vectorises and the counting does not
    for (int64_t token = 0; token < inputs.rows; ++token) {
      const float* row = inputs.row(token).data();
      for (int64_t j = first; j < end; ++j) {
        double position = (static_cast<double>(row[j]) - minimum_[j]) * scale[j - first];
        position = position > 0.0 ? position : 0.0;  // NaN too: it must not become an index
        position = position < last_bin ? position : last_bin;
        bins[j - first] = static_cast<int32_t>(position);
      }
      for (int64_t j = first; j < end; ++j) ++counts_[j * counted_bins_ + bins[j - first]];
    }
  });
}

void ChannelHistograms::merge(const ChannelHistograms& other) {
  ESPARSE_CHECK(minimum_ == other.minimum_ && maximum_ == other.maximum_);
  ESPARSE_CHECK(bins_ == other.bins_ && quantile_ == other.quantile_);
  for (size_t k = 0; k < counts_.size(); ++k) counts_[k] += other.counts_[k];
}

std::vector<double> ChannelHistograms::entropy() const {
  std::vector<double> result(minimum_.size());
  for_each_tile(static_cast<int64_t>(result.size()), counted_bins_, [&](int64_t first, int64_t end) {
    for (int64_t j = first; j < end; ++j) {
      if (!(maximum_[j] > minimum_[j])) continue;  // constant: 0
      const std::span counts(counts_.data() + j * counted_bins_, counted_bins_);
      result[j] = quantile_ < 1.0 ? entropy_of_counts(coarsen(counts, bins_, quantile_)) : entropy_of_counts(counts);
    }
  });
  return result;
}

ChannelRanges::ChannelRanges(int64_t channels)
    : minimum_(channels, std::numeric_limits<float>::infinity()),
      maximum_(channels, -std::numeric_limits<float>::infinity()),
      not_finite_(channels) {}

void ChannelRanges::add(MatrixView<const float> inputs) {
  ESPARSE_CHECK(inputs.cols == static_cast<int64_t>(minimum_.size()));
  for_each_tile(inputs.cols, inputs.rows, [&](int64_t first, int64_t end) {
    for (int64_t token = 0; token < inputs.rows; ++token) {
      const float* row = inputs.row(token).data();
      for (int64_t j = first; j < end; ++j) {
        minimum_[j] = row[j] < minimum_[j] ? row[j] : minimum_[j];
        maximum_[j] = row[j] > maximum_[j] ? row[j] : maximum_[j];
        not_finite_[j] |= static_cast<uint8_t>(!(std::fabs(row[j]) <= std::numeric_limits<float>::max()));
      }
    }
  });
}

void ChannelRanges::merge(const ChannelRanges& other) {
  ESPARSE_CHECK(minimum_.size() == other.minimum_.size());
  for (size_t j = 0; j < minimum_.size(); ++j) {
    minimum_[j] = std::min(minimum_[j], other.minimum_[j]);
    maximum_[j] = std::max(maximum_[j], other.maximum_[j]);
    not_finite_[j] |= other.not_finite_[j];
  }
}

Result<ChannelHistograms> ChannelRanges::histograms(const EntropyRange& range, int bins) const {
  for (size_t j = 0; j < minimum_.size(); ++j) {
    if (not_finite_[j] != 0) return numeric_error("input channel {}: expected finite values, got NaN or infinity", j);
    if (minimum_[j] > maximum_[j]) return invalid_argument("entropy: expected calibration inputs, got none");
  }
  if (range.kind == EntropyRangeKind::quantile) return ChannelHistograms(minimum_, maximum_, bins, range.quantile);
  if (range.kind == EntropyRangeKind::channel || minimum_.empty()) return ChannelHistograms(minimum_, maximum_, bins);
  const float low = *std::ranges::min_element(minimum_);
  const float high = *std::ranges::max_element(maximum_);
  return ChannelHistograms(std::vector(minimum_.size(), low), std::vector(minimum_.size(), high), bins);
}

}  // namespace esparse
