#include "prune/saliency.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/checked.h"
#include "base/nearest.h"
#include "base/parallel.h"

namespace esparse {
namespace {

struct NamedReduction {
  NormReduction reduction;
  std::string_view name;
};
constexpr std::array kReductions = {NamedReduction{NormReduction::per_seq, "per_seq"},
                                    NamedReduction{NormReduction::per_token, "per_token"},
                                    NamedReduction{NormReduction::total, "total"}};

// body(row) for every row, in parallel; a row costs a few operations per column.
template <typename Body>
void for_each_row(MatrixView<const float> weight, Body&& body) {
  constexpr int64_t kChunkRows = 64;
  parallel_for_sized(ceil_div(weight.rows, kChunkRows), weight.rows * weight.cols, [&](int64_t chunk, int) {
    const int64_t end = std::min(weight.rows, (chunk + 1) * kChunkRows);
    for (int64_t row = chunk * kChunkRows; row < end; ++row) body(row);
  });
}

// |w| times the factor of its channel. The product is formed in double and rounded once, so that equal scores stay
// equal and no factor is rounded before it is used.
void scale_channels(MatrixView<const float> weight, std::span<const double> factors, MatrixView<float> saliency) {
  ESPARSE_CHECK(weight.rows == saliency.rows && weight.cols == saliency.cols);
  ESPARSE_CHECK(static_cast<int64_t>(factors.size()) == weight.cols);
  for_each_row(weight, [&](int64_t row) {
    const float* source = weight.row(row).data();
    float* target = saliency.row(row).data();
    for (int64_t column = 0; column < weight.cols; ++column)
      target[column] = static_cast<float>(std::fabs(static_cast<double>(source[column])) * factors[column]);
  });
}

void score_magnitude(MatrixView<const float> weight, const InputStatistics&, const SaliencyOptions&,
                     MatrixView<float> saliency) {
  scale_channels(weight, std::vector<double>(weight.cols, 1.0), saliency);
}

void score_wanda(MatrixView<const float> weight, const InputStatistics& statistics, const SaliencyOptions& options,
                 MatrixView<float> saliency) {
  scale_channels(weight, input_norms(statistics, options.norm_reduction), saliency);
}

// E-Sparse: |w_ij| * (IR_j + alpha * ||x_j||_2), the entropy added, not multiplied (docs/methods/esparse.md, 2.2).
void score_esparse(MatrixView<const float> weight, const InputStatistics& statistics, const SaliencyOptions& options,
                   MatrixView<float> saliency) {
  std::vector<double> factors = input_norms(statistics, options.norm_reduction);
  ESPARSE_CHECK(statistics.entropy.size() == factors.size());
  for (size_t j = 0; j < factors.size(); ++j) factors[j] = statistics.entropy[j] + options.alpha * factors[j];
  scale_channels(weight, factors, saliency);
}

// The other reading of E-Sparse: |w_ij| * IR_j * ||x_j||_2 (docs/methods/esparse.md, 2.4).
void score_esparse_product(MatrixView<const float> weight, const InputStatistics& statistics,
                           const SaliencyOptions& options, MatrixView<float> saliency) {
  std::vector<double> factors = input_norms(statistics, options.norm_reduction);
  ESPARSE_CHECK(statistics.entropy.size() == factors.size());
  for (size_t j = 0; j < factors.size(); ++j) factors[j] *= statistics.entropy[j];
  scale_channels(weight, factors, saliency);
}

// Sum of |w| over each column, rows added in their order.
std::vector<double> column_magnitudes(MatrixView<const float> weight) {
  constexpr int64_t kPieceColumns = 256;  // 2 KiB of sums beside 1 KiB of a row: they stay in the L1 cache
  std::vector<double> sums(weight.cols);
  parallel_for_sized(ceil_div(weight.cols, kPieceColumns), weight.rows * weight.cols, [&](int64_t piece, int) {
    const int64_t first = piece * kPieceColumns, end = std::min(weight.cols, first + kPieceColumns);
    for (int64_t row = 0; row < weight.rows; ++row)
      for (int64_t j = first; j < end; ++j) sums[j] += std::fabs(static_cast<double>(weight(row, j)));
  });
  return sums;
}

// RIA: (|w_ij| / sum_i |w_ij| + |w_ij| / sum_j |w_ij|) * ||x_j||_2^a (docs/methods/ria.md).
void score_ria(MatrixView<const float> weight, const InputStatistics& statistics, const SaliencyOptions& options,
               MatrixView<float> saliency) {
  ESPARSE_CHECK(weight.rows == saliency.rows && weight.cols == saliency.cols);
  std::vector<double> factors = input_norms(statistics, options.norm_reduction);
  ESPARSE_CHECK(static_cast<int64_t>(factors.size()) == weight.cols);
  for (double& factor : factors) factor = std::pow(factor, options.ria_power);
  const std::vector<double> column_sums = column_magnitudes(weight);
  for_each_row(weight, [&](int64_t row) {
    double row_sum = 0.0;
    for (float value : weight.row(row)) row_sum += std::fabs(static_cast<double>(value));
    for (int64_t j = 0; j < weight.cols; ++j) {
      const double size = std::fabs(static_cast<double>(weight(row, j)));
      const double shares = size > 0.0 ? size / column_sums[j] + size / row_sum : 0.0;  // zeros may sum to zero
      saliency(row, j) = static_cast<float>(shares * factors[j]);
    }
  });
}

// OBS: w_ij^2 / [H^-1]_jj, the error of the layer's outputs when w_ij goes and the others of its row adapt.
void score_obs(MatrixView<const float> weight, const InputStatistics& statistics, const SaliencyOptions&,
               MatrixView<float> saliency) {
  ESPARSE_CHECK(weight.rows == saliency.rows && weight.cols == saliency.cols);
  ESPARSE_CHECK(static_cast<int64_t>(statistics.inverse_diagonal.size()) == weight.cols);
  for_each_row(weight, [&](int64_t row) {
    for (int64_t j = 0; j < weight.cols; ++j) {
      const double value = weight(row, j);
      saliency(row, j) = static_cast<float>(value * value / statistics.inverse_diagonal[j]);
    }
  });
}

constexpr std::array kMethods = {
    SaliencyMethod{.name = "magnitude", .summary = "|w|; needs no calibration", .needs = {}, .score = score_magnitude},
    SaliencyMethod{.name = "wanda",
                   .summary = "|w| times the norm of its input channel",
                   .needs = {.norms = true},
                   .score = score_wanda},
    SaliencyMethod{.name = "esparse",
                   .summary = "|w| times (entropy + alpha * norm) of its input channel",
                   .needs = {.norms = true, .entropy = true},
                   .reads_alpha = true,
                   .score = score_esparse},
    SaliencyMethod{.name = "esparse-product",
                   .summary = "|w| times entropy times norm of its input channel",
                   .needs = {.norms = true, .entropy = true},
                   .score = score_esparse_product},
    SaliencyMethod{.name = "ria",
                   .summary = "|w| as shares of its row and of its column, times the norm to the power a",
                   .needs = {.norms = true},
                   .reads_ria_power = true,
                   .score = score_ria},
    SaliencyMethod{.name = "obs",
                   .summary = "w^2 over the diagonal of the inverse Hessian (SparseGPT without its sweep)",
                   .needs = {.gram = true},
                   .score = score_obs},
};

}  // namespace

Result<NormReduction> parse_norm_reduction(std::string_view text) {
  for (const auto& [reduction, name] : kReductions)
    if (name == text) return reduction;
  return invalid_argument("norm reduction {:?}: expected per_seq, per_token or total", text.substr(0, 40));
}

std::string_view norm_reduction_name(NormReduction reduction) {
  for (const auto& named : kReductions)
    if (named.reduction == reduction) return named.name;
  return "?";
}

std::span<const SaliencyMethod> saliency_methods() { return kMethods; }

Result<const SaliencyMethod*> find_saliency(std::string_view name) {
  std::vector<std::string> names;
  for (const SaliencyMethod& method : kMethods) {
    if (method.name == name) return &method;
    names.emplace_back(method.name);
  }
  return invalid_argument("saliency {:?}: expected one of {}{}", name.substr(0, 40), fmt::join(names, ", "),
                          did_you_mean(name, names));
}

std::vector<double> input_norms(const InputStatistics& statistics, NormReduction reduction) {
  double count = 1.0;
  if (reduction == NormReduction::per_seq) count = static_cast<double>(statistics.sequences);
  if (reduction == NormReduction::per_token) count = static_cast<double>(statistics.tokens);
  ESPARSE_CHECK(count > 0);
  std::vector<double> norms(statistics.sum_squares.size());
  std::ranges::transform(statistics.sum_squares, norms.begin(), [&](double sum) { return std::sqrt(sum / count); });
  return norms;
}

}  // namespace esparse
