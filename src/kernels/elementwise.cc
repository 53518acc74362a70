#include "kernels/elementwise.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/fast_exp.h"

namespace esparse {
namespace {

constexpr int64_t kRowsPerPiece = 16;  // enough work to repay handing a piece to a thread

constexpr int64_t kOperationsPerElement = 8;  // about, for exp and the norms

template <typename F>
void for_each_row(int64_t rows, int64_t cols, F body) {
  parallel_for_sized(ceil_div(rows, kRowsPerPiece), rows * cols * kOperationsPerElement, [&](int64_t piece, int) {
    const int64_t last = std::min(rows, (piece + 1) * kRowsPerPiece);
    for (int64_t row = piece * kRowsPerPiece; row < last; ++row) body(row);
  });
}

// Eight partial sums in double: vectorisable, and the order is the same everywhere.
template <typename F>
double sum_over(int64_t count, F value) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += value(i + lane);
  for (; i < count; ++i) lanes[i % 8] += value(i);
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

float inverse_rms(std::span<const float> x, float eps) {
  const auto n = static_cast<int64_t>(x.size());
  const double sum = sum_over(n, [&](int64_t i) { return static_cast<double>(x[i]) * x[i]; });
  return static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(n) + eps));
}

// In one loop the compiler would carry the two bounds of the exponent on to the division and divide by exp(88) beside
// every other value: results below 2^-126, which processors compute a hundred times slower.
constexpr int64_t kSiluTile = 256;
void silu_multiply_tile(float* gate, const float* up, int64_t count) {
  float exponential[kSiluTile];
  for (int64_t k = 0; k < count; ++k) exponential[k] = clamp_exponent(-gate[k]);
  for (int64_t k = 0; k < count; ++k) exponential[k] = exp_of_clamped(exponential[k]);
  for (int64_t k = 0; k < count; ++k) gate[k] = gate[k] / (1.0f + exponential[k]) * up[k];
}

}  // namespace

void rms_norm(MatrixView<const float> x, std::span<const float> gain, float eps, std::span<const int32_t> order,
              MatrixView<float> y) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    const auto from = x.row(row);
    const auto to = y.row(row);
    const float scale = inverse_rms(from, eps);
    for (int64_t k = 0; k < x.cols; ++k) {
      const int64_t channel = order.empty() ? k : order[k];
      to[k] = from[channel] * scale * gain[channel];
    }
  });
}

void rms_norm_heads(MatrixView<float> x, int64_t head_dim, std::span<const float> gain, float eps) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    for (int64_t head = 0; head < x.cols / head_dim; ++head) {
      const auto slice = x.row(row).subspan(head * head_dim, head_dim);
      const float scale = inverse_rms(slice, eps);
      for (int64_t k = 0; k < head_dim; ++k) slice[k] = slice[k] * scale * gain[k];
    }
  });
}

void layer_norm(MatrixView<const float> x, std::span<const float> gain, std::span<const float> bias, float eps,
                std::span<const int32_t> order, MatrixView<float> y) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    const auto from = x.row(row);
    const auto to = y.row(row);
    const auto n = static_cast<double>(x.cols);
    const double mean = sum_over(x.cols, [&](int64_t i) { return static_cast<double>(from[i]); }) / n;
    const double variance = sum_over(x.cols, [&](int64_t i) { return (from[i] - mean) * (from[i] - mean); }) / n;
    const auto scale = static_cast<float>(1.0 / std::sqrt(variance + eps));
    for (int64_t k = 0; k < x.cols; ++k) {
      const int64_t channel = order.empty() ? k : order[k];
      const float normalised = (from[channel] - static_cast<float>(mean)) * scale;
      to[k] = normalised * (gain.empty() ? 1.0f : gain[channel]) + (bias.empty() ? 0.0f : bias[channel]);
    }
  });
}

void gather_channels(MatrixView<const float> x, std::span<const int32_t> order, MatrixView<float> y) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    for (int64_t k = 0; k < x.cols; ++k) y(row, k) = x(row, order[k]);
  });
}

void silu_multiply(MatrixView<float> gate, MatrixView<const float> up) {
  for_each_row(gate.rows, gate.cols, [&](int64_t row) {
    float* g = gate.row(row).data();
    const float* u = up.row(row).data();
    for (int64_t k = 0; k < gate.cols; k += kSiluTile)
      silu_multiply_tile(g + k, u + k, std::min(kSiluTile, gate.cols - k));
  });
}

void relu(MatrixView<float> x) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    for (float& value : x.row(row)) value = value > 0.0f ? value : 0.0f;
  });
}

void gelu(MatrixView<float> x) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    for (float& value : x.row(row)) value = 0.5f * value * (1.0f + std::erf(value * 0.70710678f));
  });
}

void add(MatrixView<float> x, MatrixView<const float> y) {
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    const auto to = x.row(row);
    const auto from = y.row(row);
    for (size_t k = 0; k < to.size(); ++k) to[k] += from[k];
  });
}

RotaryAngles rotary_angles(std::span<const float> inverse_frequencies, int64_t first_position, int64_t tokens,
                           float scale) {
  const auto half = static_cast<int64_t>(inverse_frequencies.size());
  RotaryAngles angles{Matrix<float>(tokens, half), Matrix<float>(tokens, half)};
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(first_position + t) * inverse_frequencies[i];
      angles.cosine(t, i) = std::cos(angle) * scale;
      angles.sine(t, i) = std::sin(angle) * scale;
    }
  return angles;
}

void apply_rotary(MatrixView<float> x, int64_t head_dim, const RotaryAngles& angles) {
  const int64_t half = head_dim / 2;
  for_each_row(x.rows, x.cols, [&](int64_t row) {
    const float* cosine = angles.cosine.row(row).data();
    const float* sine = angles.sine.row(row).data();
    for (int64_t head = 0; head < x.cols / head_dim; ++head) {
      float* low = x.row(row).data() + head * head_dim;
      float* high = low + half;
      for (int64_t i = 0; i < half; ++i) {
        const float a = low[i], b = high[i];
        low[i] = a * cosine[i] - b * sine[i];
        high[i] = b * cosine[i] + a * sine[i];
      }
    }
  });
}

void softmax(std::span<float> values) {
  float largest = values[0];
  for (float value : values) largest = std::max(largest, value);
  for (float& value : values) value = fast_exp(value - largest);
  const double sum =
      sum_over(static_cast<int64_t>(values.size()), [&](int64_t i) { return static_cast<double>(values[i]); });
  const auto scale = static_cast<float>(1.0 / sum);
  for (float& value : values) value *= scale;
}

double log_sum_exp(std::span<const float> values) {
  const float largest = *std::max_element(values.begin(), values.end());
  const double sum = sum_over(static_cast<int64_t>(values.size()),
                              [&](int64_t i) { return static_cast<double>(fast_exp(values[i] - largest)); });
  return largest + std::log(sum);
}

}  // namespace esparse
