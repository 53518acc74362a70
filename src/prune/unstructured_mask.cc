#include "prune/unstructured_mask.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

constexpr int64_t kChunkRows = 64;

// body(row, worker) for every row, chunk by chunk in parallel.
template <typename Body>
void for_each_row(MatrixView<const float> saliency, Body&& body) {
  parallel_for_sized(ceil_div(saliency.rows, kChunkRows), saliency.rows * saliency.cols,
                     [&](int64_t chunk, int worker) {
                       const int64_t end = std::min(saliency.rows, (chunk + 1) * kChunkRows);
                       for (int64_t row = chunk * kChunkRows; row < end; ++row) body(row, worker);
                     });
}

void mask_row(std::span<const float> scores, int64_t removed, std::vector<float>& scratch, std::span<uint8_t> mask) {
  std::ranges::fill(mask, uint8_t{1});
  if (removed == 0) return;
  scratch.assign(scores.begin(), scores.end());
  const auto cut = scratch.begin() + (removed - 1);
  std::nth_element(scratch.begin(), cut, scratch.end());
  const float largest_removed = *cut;
  const auto below = std::ranges::count_if(scores, [&](float score) { return score < largest_removed; });
  int64_t ties_removed = removed - below;
  for (size_t j = scores.size(); j-- > 0;) {
    if (scores[j] < largest_removed) mask[j] = 0;
    if (scores[j] == largest_removed && ties_removed-- > 0) mask[j] = 0;
  }
}

// A number that orders as the score does; -0 and 0 are the same.
uint32_t rank_bits(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);
  return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}

// The scores with a smaller rank than `rank` are removed, and all with this rank but the first `ties_kept`.
struct LayerCut {
  uint32_t rank = 0;
  int64_t ties_kept = 0;
};

constexpr int kDigitBits = 16;  // two digits make a rank: two passes over the scores, 512 KiB of counters

// How often each value of the digit above bit `shift` occurs among the scores whose higher digits are `prefix`.
std::vector<int64_t> count_digits(MatrixView<const float> saliency, int shift, uint64_t prefix) {
  std::vector<std::vector<int64_t>> counts(thread_count(), std::vector<int64_t>(1 << kDigitBits));
  for_each_row(saliency, [&](int64_t row, int worker) {
    for (float score : saliency.row(row)) {
      const uint64_t digits = rank_bits(score) >> shift;
      if (digits >> kDigitBits == prefix) ++counts[worker][digits & 0xffff];
    }
  });
  for (size_t worker = 1; worker < counts.size(); ++worker)  // whole numbers: any order of adding gives the same
    std::ranges::transform(counts[0], counts[worker], counts[0].begin(), std::plus{});
  return std::move(counts[0]);
}

// Radix selection of the `removed`-th smallest score, removed >= 1.
LayerCut find_cut(MatrixView<const float> saliency, int64_t removed) {
  uint64_t prefix = 0;
  int64_t ties = 0;
  for (int shift : {kDigitBits, 0}) {
    const std::vector<int64_t> counts = count_digits(saliency, shift, prefix);
    uint64_t digit = 0;
    while (counts[digit] < removed) removed -= counts[digit++];
    ties = counts[digit];
    prefix = prefix << kDigitBits | digit;
  }
  return {static_cast<uint32_t>(prefix), ties - removed};
}

void mask_layer(MatrixView<const float> saliency, int64_t removed, MatrixView<uint8_t> mask) {
  const LayerCut cut = removed > 0 ? find_cut(saliency, removed) : LayerCut{};
  std::vector<int64_t> ties(saliency.rows);
  for_each_row(saliency, [&](int64_t row, int) {
    for (int64_t j = 0; j < saliency.cols; ++j) {
      const uint32_t rank = rank_bits(saliency(row, j));
      mask(row, j) = removed == 0 || rank > cut.rank;
      ties[row] += rank == cut.rank;
    }
  });
  int64_t left = cut.ties_kept;
  for (int64_t row = 0; row < saliency.rows && left > 0; ++row) {
    if (ties[row] == 0) continue;
    for (int64_t j = 0; j < saliency.cols && left > 0; ++j) {
      if (rank_bits(saliency(row, j)) != cut.rank) continue;
      mask(row, j) = 1;
      --left;
    }
  }
}

}  // namespace

int64_t removed_count(double sparsity, int64_t count) {
  ESPARSE_CHECK(sparsity >= 0.0 && sparsity < 1.0 && count >= 0);
  // Reading a percentage, dividing it by 100 and the product here each err by at most 2^-53 of the result.
  const double exact = sparsity * static_cast<double>(count);
  const auto removed = static_cast<int64_t>(std::floor(exact * (1.0 + 0x1p-50)));
  return std::min(removed, std::max<int64_t>(count - 1, 0));
}

void unstructured_mask(MatrixView<const float> saliency, double sparsity, SparsityScope scope,
                       MatrixView<uint8_t> mask) {
  ESPARSE_CHECK(saliency.rows == mask.rows && saliency.cols == mask.cols);
  if (scope == SparsityScope::layer)
    return mask_layer(saliency, removed_count(sparsity, saliency.rows * saliency.cols), mask);
  const int64_t removed = removed_count(sparsity, saliency.cols);
  std::vector<std::vector<float>> scratch(thread_count());
  for_each_row(saliency,
               [&](int64_t row, int worker) { mask_row(saliency.row(row), removed, scratch[worker], mask.row(row)); });
}

}  // namespace esparse
