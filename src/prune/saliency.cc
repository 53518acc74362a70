#include "prune/saliency.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace esparse {
namespace {

struct NamedReduction {
  NormReduction reduction;
  std::string_view name;
};
constexpr std::array kReductions = {NamedReduction{NormReduction::per_seq, "per_seq"},
                                    NamedReduction{NormReduction::per_token, "per_token"},
                                    NamedReduction{NormReduction::total, "total"}};

// |w| times the factor of its channel. The product is formed in double and rounded once, so that equal scores stay
// equal and no factor is rounded before it is used.
void scale_channels(MatrixView<const float> weight, std::span<const double> factors, MatrixView<float> saliency) {
  ESPARSE_CHECK(weight.rows == saliency.rows && weight.cols == saliency.cols);
  ESPARSE_CHECK(static_cast<int64_t>(factors.size()) == weight.cols);
  for (int64_t row = 0; row < weight.rows; ++row) {
    const float* source = weight.row(row).data();
    float* target = saliency.row(row).data();
    for (int64_t column = 0; column < weight.cols; ++column)
      target[column] = static_cast<float>(std::fabs(static_cast<double>(source[column])) * factors[column]);
  }
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

constexpr std::array kMethods = {
    SaliencyMethod{"magnitude", "|w|; needs no calibration", {.norms = false, .entropy = false}, score_magnitude},
    SaliencyMethod{"wanda", "|w| times the norm of its input channel", {.norms = true, .entropy = false}, score_wanda},
    SaliencyMethod{"esparse",
                   "|w| times (entropy + alpha * norm) of its input channel",
                   {.norms = true, .entropy = true},
                   score_esparse},
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
  std::string names;
  for (const SaliencyMethod& method : kMethods) {
    if (method.name == name) return &method;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", method.name);
  }
  return invalid_argument("saliency {:?}: expected one of {}", name.substr(0, 40), names);
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
