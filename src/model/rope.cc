#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace esparse {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

struct RopeInputs {
  double theta = 10000.0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
};

std::vector<double> base_frequencies(const RopeInputs& inputs) {
  std::vector<double> frequencies(inputs.head_dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(inputs.theta, -2.0 * static_cast<double>(i) / static_cast<double>(inputs.head_dim));
  return frequencies;
}

Result<double> positive(const JsonFields& fields, std::string_view key) {
  ESPARSE_ASSIGN_OR_RETURN(const double value, fields.number(key));
  if (!(value > 0)) return invalid_argument("{}: {}: expected a positive number, got {}", fields.label(), key, value);
  return value;
}

// Llama 3.1: low frequencies are divided by `factor`, high ones kept, those between interpolated.
Status scale_llama3(const JsonFields& scaling, std::vector<double>& frequencies) {
  ESPARSE_ASSIGN_OR_RETURN(const double factor, positive(scaling, "factor"));
  ESPARSE_ASSIGN_OR_RETURN(const double low_factor, positive(scaling, "low_freq_factor"));
  ESPARSE_ASSIGN_OR_RETURN(const double high_factor, positive(scaling, "high_freq_factor"));
  ESPARSE_ASSIGN_OR_RETURN(const double original, positive(scaling, "original_max_position_embeddings"));
  if (high_factor <= low_factor)
    return invalid_argument("{}: high_freq_factor: expected more than low_freq_factor {}, got {}", scaling.label(),
                            low_factor, high_factor);
  for (double& frequency : frequencies) {
    const double wavelength = kTwoPi / frequency;
    if (wavelength > original / low_factor) {
      frequency /= factor;
    } else if (wavelength >= original / high_factor) {
      const double smooth = (original / wavelength - low_factor) / (high_factor - low_factor);
      frequency = (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }
  return {};
}

double yarn_mscale(double scale, double mscale) { return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0; }

// YaRN (arXiv 2309.00071, section 3.2): dimensions that turn often keep their frequency, those that turn less than
// beta_slow times within the original context are divided by `factor`, with a linear ramp between.
Status scale_yarn(const JsonFields& scaling, const RopeInputs& inputs, std::vector<double>& frequencies,
                  float& attention_scale) {
  ESPARSE_ASSIGN_OR_RETURN(
      double original, scaling.number("original_max_position_embeddings", static_cast<double>(inputs.max_positions)));
  ESPARSE_ASSIGN_OR_RETURN(const double factor, positive(scaling, "factor"));
  ESPARSE_ASSIGN_OR_RETURN(const double beta_fast, scaling.number("beta_fast", 32.0));
  ESPARSE_ASSIGN_OR_RETURN(const double beta_slow, scaling.number("beta_slow", 1.0));
  ESPARSE_ASSIGN_OR_RETURN(const double mscale, scaling.number("mscale", 0.0));
  ESPARSE_ASSIGN_OR_RETURN(const double mscale_all_dim, scaling.number("mscale_all_dim", 0.0));
  ESPARSE_ASSIGN_OR_RETURN(const bool truncate, scaling.boolean("truncate", true));
  const double natural = mscale != 0 && mscale_all_dim != 0
                             ? yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim)
                             : yarn_mscale(factor, 1.0);
  ESPARSE_ASSIGN_OR_RETURN(const double chosen, scaling.number("attention_factor", natural));
  attention_scale = static_cast<float>(chosen);
  if (!(original > 0 && beta_fast > 0 && beta_slow > 0 && inputs.theta > 1))
    return invalid_argument("{}: yarn: expected positive original_max_position_embeddings, beta_fast, beta_slow",
                            scaling.label());

  const auto dim = static_cast<double>(inputs.head_dim);
  auto dimension_of = [&](double rotations) {
    return dim * std::log(original / (rotations * kTwoPi)) / (2 * std::log(inputs.theta));
  };
  double low = dimension_of(beta_fast), high = dimension_of(beta_slow);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / factor * ramp + frequencies[i] * (1 - ramp);
  }
  return {};
}

Status apply_scaling(const JsonFields& scaling, const RopeInputs& inputs, std::vector<double>& frequencies,
                     float& attention_scale) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string older, scaling.string("type", "default"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string type, scaling.string("rope_type", older));
  if (type == "default") return {};
  if (type == "linear") {
    ESPARSE_ASSIGN_OR_RETURN(const double factor, positive(scaling, "factor"));
    for (double& frequency : frequencies) frequency /= factor;
    return {};
  }
  if (type == "llama3") return scale_llama3(scaling, frequencies);
  if (type == "yarn") return scale_yarn(scaling, inputs, frequencies, attention_scale);
  return unsupported("{}: rope type: expected default, linear, llama3 or yarn, got '{}'", scaling.label(), type);
}

}  // namespace

Result<RopeConfig> parse_rope(const JsonFields& config, int64_t head_dim, int64_t max_positions) {
  const std::string_view key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const Json scaling_json = config.has(key) ? config.raw(key) : Json::object();
  if (!scaling_json.is_object())
    return invalid_argument("{}: {}: expected an object, got {}", config.label(), key, scaling_json.type_name());
  const JsonFields scaling(scaling_json, fmt::format("{}: {}", config.label(), key));

  RopeInputs inputs{.head_dim = head_dim, .max_positions = max_positions};
  ESPARSE_ASSIGN_OR_RETURN(inputs.theta, config.number("rope_theta", 10000.0));
  ESPARSE_ASSIGN_OR_RETURN(inputs.theta, scaling.number("rope_theta", inputs.theta));
  if (!(inputs.theta > 0))
    return invalid_argument("{}: rope_theta: expected a positive number, got {}", config.label(), inputs.theta);
  for (const JsonFields* fields : {&config, &scaling}) {
    ESPARSE_ASSIGN_OR_RETURN(const double partial, fields->number("partial_rotary_factor", 1.0));
    if (partial != 1.0) return unsupported("{}: partial_rotary_factor: expected 1, got {}", fields->label(), partial);
  }

  RopeConfig rope;
  auto frequencies = base_frequencies(inputs);
  ESPARSE_RETURN_IF_ERROR(apply_scaling(scaling, inputs, frequencies, rope.attention_scale));
  rope.inverse_frequencies.assign(frequencies.begin(), frequencies.end());
  return rope;
}

}  // namespace esparse
