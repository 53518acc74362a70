// Element types of tensors, and conversion between them and f32. bf16 and f16 are kept as raw 16-bit words.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace esparse {

enum class DType { f32, f16, bf16, f64, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

// Names as safetensors spells them: "F32", "BF16", "U8", "BOOL" ...
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);
int64_t dtype_bytes(DType dtype);
// True for the three types that weights may have: f32, f16, bf16.
bool is_weight_dtype(DType dtype);

struct bf16 {
  uint16_t bits = 0;
};
struct f16 {
  uint16_t bits = 0;
};

inline float to_f32(float value) { return value; }
inline float to_f32(bf16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
// Exact for every f16, subnormals, infinities and NaN included.
inline float to_f32(f16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1f;
  uint32_t mantissa = value.bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | (mantissa << 13));
  if (exponent == 0) {  // zero and subnormals: mantissa x 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// Round to nearest, ties to even; NaN stays NaN.
inline bf16 to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
// Round to nearest, ties to even; overflow goes to infinity, NaN stays NaN.
f16 to_f16(float value);

// Reads `count` elements of `dtype` (f32, f16, bf16) from unaligned bytes into f32.
void convert_to_f32(DType dtype, const std::byte* source, std::span<float> target);
// Writes f32 values as `dtype` (f32, f16, bf16).
void convert_from_f32(DType dtype, std::span<const float> source, std::byte* target);

}  // namespace esparse
