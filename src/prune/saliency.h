// What a weight is worth: one score per weight, lower is removed first. Methods register by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "calibrate/statistics.h"

namespace esparse {

enum class NormReduction { per_seq, per_token, total };  // what the sum of squares is divided by before the square root
Result<NormReduction> parse_norm_reduction(std::string_view text);
std::string_view norm_reduction_name(NormReduction reduction);

struct SaliencyOptions {
  double alpha = 1.0;      // esparse: weight of the norm beside the entropy (methods: E-Sparse eq. "xi")
  double ria_power = 0.5;  // ria: power of the norm
  NormReduction norm_reduction = NormReduction::per_seq;
};

// One way to score weights. Scores are at least 0, and the same bits for any thread count.
struct SaliencyMethod {
  std::string_view name;
  std::string_view summary;  // one line for --help
  StatisticsNeeds needs;     // and which of the options it reads, beside norm_reduction, which all with norms read
  bool reads_alpha = false;
  bool reads_ria_power = false;
  void (*score)(MatrixView<const float> weight, const InputStatistics& statistics, const SaliencyOptions& options,
                MatrixView<float> saliency) = nullptr;
};

std::span<const SaliencyMethod> saliency_methods();  // magnitude, wanda, esparse, esparse-product, ria, obs
Result<const SaliencyMethod*> find_saliency(std::string_view name);  // the error lists the names

// ||x_j|| of every channel under `reduction`.
std::vector<double> input_norms(const InputStatistics& statistics, NormReduction reduction);

}  // namespace esparse
