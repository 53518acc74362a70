#include "base/dtype.h"

#include <array>
#include <cstring>

#include "base/status.h"

namespace esparse {
namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};

constexpr std::array kDTypes = {
    DTypeInfo{DType::f32, "F32", 4},      DTypeInfo{DType::f16, "F16", 2}, DTypeInfo{DType::bf16, "BF16", 2},
    DTypeInfo{DType::f64, "F64", 8},      DTypeInfo{DType::i64, "I64", 8}, DTypeInfo{DType::i32, "I32", 4},
    DTypeInfo{DType::i16, "I16", 2},      DTypeInfo{DType::i8, "I8", 1},   DTypeInfo{DType::u64, "U64", 8},
    DTypeInfo{DType::u32, "U32", 4},      DTypeInfo{DType::u16, "U16", 2}, DTypeInfo{DType::u8, "U8", 1},
    DTypeInfo{DType::boolean, "BOOL", 1},
};

template <typename T>
void widen(const std::byte* source, std::span<float> target) {
  for (size_t i = 0; i < target.size(); ++i) {
    T value;
    std::memcpy(&value, source + i * sizeof(T), sizeof(T));
    target[i] = to_f32(value);
  }
}

}  // namespace

std::string_view dtype_name(DType dtype) {
  for (const auto& info : kDTypes)
    if (info.dtype == dtype) return info.name;
  return "?";
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const auto& info : kDTypes)
    if (info.name == name) return info.dtype;
  return std::nullopt;
}

int64_t dtype_bytes(DType dtype) {
  for (const auto& info : kDTypes)
    if (info.dtype == dtype) return info.bytes;
  return 0;
}

bool is_weight_dtype(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

f16 to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (magnitude >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // 65520 and above round to infinity
  if (magnitude < 0x38800000) {  // below 2^-14: subnormal; adding 0.5 aligns the mantissa at 2^-24 and rounds to even
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000))};
  }
  const uint32_t rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1);
  return {static_cast<uint16_t>(sign | (rounded >> 13))};
}

void convert_to_f32(DType dtype, const std::byte* source, std::span<float> target) {
  if (target.empty()) return;  // memcpy must not see null, even for nothing
  switch (dtype) {
    case DType::f32:
      std::memcpy(target.data(), source, target.size_bytes());
      return;
    case DType::bf16:
      widen<bf16>(source, target);
      return;
    case DType::f16:
      widen<f16>(source, target);
      return;
    default:
      ESPARSE_CHECK(is_weight_dtype(dtype));
  }
}

void convert_from_f32(DType dtype, std::span<const float> source, std::byte* target) {
  ESPARSE_CHECK(is_weight_dtype(dtype));
  if (source.empty()) return;
  if (dtype == DType::f32) {
    std::memcpy(target, source.data(), source.size_bytes());
    return;
  }
  for (size_t i = 0; i < source.size(); ++i) {
    const uint16_t bits = dtype == DType::bf16 ? to_bf16(source[i]).bits : to_f16(source[i]).bits;
    std::memcpy(target + 2 * i, &bits, 2);
  }
}

}  // namespace esparse
