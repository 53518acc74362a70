#include "prune/top_k.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

// Magnitudes of floats are ordered as their bits without the sign. The threshold is found digit by digit.
struct Digit {
  int shift;
  int bits;
};
constexpr std::array<Digit, 3> kDigits = {{{20, 11}, {10, 10}, {0, 10}}};
constexpr int64_t kBins = 1 << 11;
constexpr int64_t kChunkElements = 1 << 15;  // counting one takes longer than clearing its bins

uint32_t magnitude_bits(float value) { return std::bit_cast<uint32_t>(value) & 0x7fffffffu; }

class Threshold {
 public:
  Threshold(MatrixView<const float> scores, int64_t kept)
      : scores_(scores), chunk_rows_(std::max<int64_t>(1, kChunkElements / std::max<int64_t>(1, scores.cols))) {
    chunks_ = ceil_div(scores.rows, chunk_rows_);
    counts_.resize(static_cast<size_t>(chunks_ * kBins));
    for (const Digit digit : kDigits) {
      count(digit);
      kept = choose(digit, kept);
    }
    keep_ties(kept);
  }

  void write(MatrixView<uint8_t> mask) const {
    parallel_for_sized(chunks_, scores_.rows * scores_.cols, [&](int64_t chunk, int) {
      int64_t ties = ties_[chunk];
      for_rows(chunk, [&](int64_t row) {
        for (int64_t col = 0; col < scores_.cols; ++col) {
          const uint32_t bits = magnitude_bits(scores_(row, col));
          mask(row, col) = bits > value_ || (bits == value_ && ties-- > 0);
        }
      });
    });
  }

 private:
  template <typename F>
  void for_rows(int64_t chunk, F&& body) const {
    const int64_t end = std::min(scores_.rows, (chunk + 1) * chunk_rows_);
    for (int64_t row = chunk * chunk_rows_; row < end; ++row) body(row);
  }

  // Per chunk, how many scores that agree with value_ above the digit have each value of it.
  void count(Digit digit) {
    const uint32_t prefix_mask = static_cast<uint32_t>(~0ull << (digit.shift + digit.bits));
    parallel_for_sized(chunks_, scores_.rows * scores_.cols, [&](int64_t chunk, int) {
      int64_t* bins = &counts_[chunk * kBins];
      std::fill(bins, bins + kBins, 0);
      for_rows(chunk, [&](int64_t row) {
        for (int64_t col = 0; col < scores_.cols; ++col) {
          const uint32_t bits = magnitude_bits(scores_(row, col));
          if ((bits & prefix_mask) == value_) ++bins[(bits >> digit.shift) & ((1u << digit.bits) - 1)];
        }
      });
    });
  }

  // Sets the digit of value_ to that of the kept-th largest; returns how many of its bin are still to be kept.
  int64_t choose(Digit digit, int64_t kept) {
    for (bin_ = (1 << digit.bits) - 1;; --bin_) {
      int64_t total = 0;
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) total += counts_[chunk * kBins + bin_];
      if (kept <= total || bin_ == 0) break;
      kept -= total;
    }
    value_ |= static_cast<uint32_t>(bin_) << digit.shift;
    return kept;
  }

  // The last digit's bin holds the scores equal to value_: the first ones are kept.
  void keep_ties(int64_t kept) {
    ties_.resize(static_cast<size_t>(chunks_));
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      ties_[chunk] = std::min(kept, counts_[chunk * kBins + bin_]);
      kept -= ties_[chunk];
    }
  }

  MatrixView<const float> scores_;
  int64_t chunk_rows_;
  int64_t chunks_ = 0;
  int64_t bin_ = 0;
  uint32_t value_ = 0;
  std::vector<int64_t> counts_;  // [chunks, kBins]
  std::vector<int64_t> ties_;    // [chunks] how many equal to value_ are kept
};

}  // namespace

void keep_largest(MatrixView<const float> scores, int64_t kept, MatrixView<uint8_t> mask) {
  ESPARSE_CHECK(scores.rows == mask.rows && scores.cols == mask.cols);
  ESPARSE_CHECK(kept >= 0 && kept <= scores.rows * scores.cols);
  if (scores.rows == 0 || scores.cols == 0) return;
  Threshold(scores, kept).write(mask);
}

void keep_largest_of_groups(std::span<const float> scores, NmPattern pattern, std::span<uint8_t> mask) {
  ESPARSE_CHECK(pattern.valid() && scores.size() == mask.size());
  const auto columns = static_cast<int64_t>(scores.size());
  for (int64_t first = 0; first < columns; first += pattern.group) {
    const int count = static_cast<int>(std::min<int64_t>(pattern.group, columns - first));
    const int kept = static_cast<int>(pattern.kept_in(count));
    const float* group = &scores[first];
    for (int column = 0; column < count; ++column) {
      const float own = std::abs(group[column]);
      int before = 0;
      for (int other = 0; other < column; ++other) before += std::abs(group[other]) >= own;
      for (int other = column + 1; other < count; ++other) before += std::abs(group[other]) > own;
      mask[first + column] = before < kept;
    }
  }
}

}  // namespace esparse
