// The small operations between the matrix products: norms, activations, rotary embedding. All in f32, row by row,
// so results do not depend on how many tokens are processed together or on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"

namespace esparse {

// y[t, k] = x[t, order[k]] / rms(x[t]) * gain[order[k]]; an empty order is the identity. x and y may not overlap.
void rms_norm(MatrixView<const float> x, std::span<const float> gain, float eps, std::span<const int32_t> order,
              MatrixView<float> y);
// The same over `cols` = head_dim wide slices in place, one gain for all (Qwen3's q_norm and k_norm).
void rms_norm_heads(MatrixView<float> x, int64_t head_dim, std::span<const float> gain, float eps);
// y[t, k] = ((x - mean) / sqrt(var + eps) * gain + bias)[order[k]]; empty gain or bias: 1 or 0.
void layer_norm(MatrixView<const float> x, std::span<const float> gain, std::span<const float> bias, float eps,
                std::span<const int32_t> order, MatrixView<float> y);
// y[t, k] = x[t, order[k]]
void gather_channels(MatrixView<const float> x, std::span<const int32_t> order, MatrixView<float> y);

// gate = silu(gate) * up
void silu_multiply(MatrixView<float> gate, MatrixView<const float> up);
void relu(MatrixView<float> x);
// 0.5 x (1 + erf(x / sqrt 2))
void gelu(MatrixView<float> x);
// x += y
void add(MatrixView<float> x, MatrixView<const float> y);

// Angles of the rotary embedding for consecutive positions: cosine and sine [tokens, head_dim / 2], scaled.
struct RotaryAngles {
  Matrix<float> cosine;
  Matrix<float> sine;
};
RotaryAngles rotary_angles(std::span<const float> inverse_frequencies, int64_t first_position, int64_t tokens,
                           float scale);
// Rotates the pairs (i, i + head_dim/2) of every head of x [tokens, heads * head_dim].
void apply_rotary(MatrixView<float> x, int64_t head_dim, const RotaryAngles& angles);

// values = softmax(values), subtracting the maximum first.
void softmax(std::span<float> values);
// log(sum(exp(values))), accumulated in double.
double log_sum_exp(std::span<const float> values);

}  // namespace esparse
