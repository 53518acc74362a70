// exp in f32 by a polynomial the compiler can vectorise: relative error below 2e-7 on [-87, 88], clamped outside.
#pragma once

#include <bit>
#include <cstdint>

namespace esparse {

inline float clamp_exponent(float x) { return x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x); }

// exp(x) for x in [-87, 88].
inline float exp_of_clamped(float x) {
  // exp(x) = 2^n exp(r), |r| <= ln2/2; adding 1.5 * 2^23 rounds to the nearest integer in the low mantissa bits.
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;  // ln2 in two parts (Cody and Waite)
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto exponent = static_cast<uint32_t>(std::bit_cast<int32_t>(shifted) - 0x4B400000 + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

inline float fast_exp(float x) { return exp_of_clamped(clamp_exponent(x)); }

}  // namespace esparse
