#include "base/dtype.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace esparse {
namespace {

// A 16-bit format of 1 sign bit, exponent and mantissa bits; values and rounding worked out in double.
struct Format {
  int mantissa_bits;
  int min_exponent;  // of normal numbers
  int max_exponent;

  double max_finite() const { return std::ldexp(2.0 - std::ldexp(1.0, -mantissa_bits), max_exponent); }

  double value(uint16_t bits) const {
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    const int exponent_field = (bits & 0x7fff) >> mantissa_bits;
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent_field == max_exponent - min_exponent + 2) {
      return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
    }
    const int significand = exponent_field == 0 ? mantissa : mantissa + (1 << mantissa_bits);
    const int exponent = exponent_field == 0 ? min_exponent : min_exponent + exponent_field - 1;
    return sign * std::ldexp(significand, exponent - mantissa_bits);
  }

  // The nearest value, ties to even, infinity where the rounded value exceeds the largest finite one.
  double round(double x) const {
    if (x == 0 || !std::isfinite(x)) return x;
    const int exponent = std::max(std::ilogb(x), min_exponent);
    const double ulp = std::ldexp(1.0, exponent - mantissa_bits);
    const double rounded = std::nearbyint(x / ulp) * ulp;  // the division by a power of two is exact
    return std::abs(rounded) > max_finite() ? std::copysign(std::numeric_limits<double>::infinity(), x) : rounded;
  }
};

constexpr Format kF16{10, -14, 15};
constexpr Format kBf16{7, -126, 127};

float narrowed(const Format& format, float value) {
  return format.mantissa_bits == 10 ? to_f32(to_f16(value)) : to_f32(to_bf16(value));
}

// Same value and same sign, so that -0 is not 0.
void expect_rounds_right(const Format& format, float value) {
  const double expected = format.round(value);
  const float got = narrowed(format, value);
  if (std::isnan(value)) {
    EXPECT_TRUE(std::isnan(got));
    return;
  }
  ASSERT_EQ(static_cast<double>(got), expected) << std::hexfloat << value;
  ASSERT_EQ(std::signbit(got), std::signbit(value)) << std::hexfloat << value;
}

TEST(DType, EveryF16ConvertsExactlyAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 half{static_cast<uint16_t>(bits)};
    const double expected = kF16.value(half.bits);
    const float wide = to_f32(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(wide)) << bits;
      ASSERT_TRUE(std::isnan(to_f32(to_f16(wide)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(wide), expected) << bits;
    ASSERT_EQ(to_f16(wide).bits, half.bits);
  }
}

TEST(DType, EveryBf16ConvertsExactlyAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bf16 brain{static_cast<uint16_t>(bits)};
    const double expected = kBf16.value(brain.bits);
    const float wide = to_f32(brain);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(wide)) << bits;
      ASSERT_TRUE(std::isnan(to_f32(to_bf16(wide)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(wide), expected) << bits;
    ASSERT_EQ(to_bf16(wide).bits, brain.bits);
  }
}

// Ties and their neighbours between all adjacent values, subnormals and the step to infinity included.
TEST(DType, RoundsAtEveryMidpoint) {
  for (const Format& format : {kF16, kBf16}) {
    const uint32_t infinity = static_cast<uint32_t>(format.max_exponent - format.min_exponent + 2)
                              << format.mantissa_bits;
    for (uint32_t bits = 0; bits < infinity; ++bits) {
      const double low = format.value(static_cast<uint16_t>(bits));
      const double high = bits + 1 == infinity ? std::ldexp(1.0, format.max_exponent + 1)
                                               : format.value(static_cast<uint16_t>(bits + 1));
      const auto middle = static_cast<float>((low + high) / 2);
      ASSERT_EQ(static_cast<double>(middle), (low + high) / 2);
      for (const float sign : {1.0f, -1.0f}) {
        expect_rounds_right(format, sign * middle);
        expect_rounds_right(format, sign * std::nextafter(middle, 0.0f));
        expect_rounds_right(format, sign * std::nextafter(middle, std::numeric_limits<float>::infinity()));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(DType, RoundsRandomFloats) {
  std::mt19937 random(7);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    expect_rounds_right(kF16, value);
    expect_rounds_right(kBf16, value);
    if (HasFatalFailure()) return;
  }
}

TEST(DType, ExtremesOfNarrowing) {
  EXPECT_EQ(to_f16(65519.996f).bits, 0x7bff);  // just below the tie between 65504 and 65536
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_f16(-1e30f).bits, 0xfc00);
  EXPECT_EQ(to_f16(0x1p-25f).bits, 0);  // a tie between 0 and the least subnormal
  EXPECT_EQ(to_f16(0x1.000002p-25f).bits, 1);
  EXPECT_EQ(to_f16(-0.0f).bits, 0x8000);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(to_bf16(-std::numeric_limits<float>::infinity()).bits, 0xff80);
  EXPECT_EQ(to_bf16(-0.0f).bits, 0x8000);
  for (const uint32_t nan : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0x7fc00000u}) {
    EXPECT_TRUE(std::isnan(to_f32(to_f16(std::bit_cast<float>(nan))))) << nan;
    EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::bit_cast<float>(nan))))) << nan;
  }
}

TEST(DType, NamesAndSizes) {
  struct Row {
    DType dtype;
    const char* name;
    int64_t bytes;
  };
  const Row rows[] = {{DType::f32, "F32", 4},     {DType::f16, "F16", 2}, {DType::bf16, "BF16", 2},
                      {DType::f64, "F64", 8},     {DType::i64, "I64", 8}, {DType::i32, "I32", 4},
                      {DType::i16, "I16", 2},     {DType::i8, "I8", 1},   {DType::u64, "U64", 8},
                      {DType::u32, "U32", 4},     {DType::u16, "U16", 2}, {DType::u8, "U8", 1},
                      {DType::boolean, "BOOL", 1}};
  for (const Row& row : rows) {
    EXPECT_EQ(dtype_name(row.dtype), row.name);
    EXPECT_EQ(dtype_from_name(row.name), row.dtype);
    EXPECT_EQ(dtype_bytes(row.dtype), row.bytes);
    const bool weight = row.dtype == DType::f32 || row.dtype == DType::f16 || row.dtype == DType::bf16;
    EXPECT_EQ(is_weight_dtype(row.dtype), weight) << row.name;
  }
  EXPECT_EQ(dtype_from_name("f32"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

TEST(DType, ConvertsArraysAtAnyAlignment) {
  const std::array<float, 5> values = {0.0f, -1.5f, 3.25f, 1024.0f, -0.0078125f};  // exact in all three types
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (size_t offset = 0; offset < 4; ++offset) {
      std::vector<std::byte> bytes(offset + values.size() * static_cast<size_t>(dtype_bytes(dtype)));
      convert_from_f32(dtype, values, bytes.data() + offset);
      std::array<float, 5> back{};
      back.fill(std::nanf(""));
      convert_to_f32(dtype, bytes.data() + offset, back);
      EXPECT_EQ(back, values) << dtype_name(dtype) << " at " << offset;
    }
  }
}

}  // namespace
}  // namespace esparse
