// Every operation of every vector type against Emulated, which is plain C++, lane by lane.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu_features.h"
#include "kernels/simd/emulated.h"
#include "kernels/simd_probe.h"

namespace esparse {

namespace testing_support {
void PrintTo(const SimdProbe& type, std::ostream* out) { *out << type.name; }
}  // namespace testing_support

namespace {

using namespace testing_support;

constexpr uint64_t kSeed = 11;

const SimdProbe& emulated(int lanes) {
  static const SimdProbe types[] = {
      {"Emulated<4>", Isa::portable, 4, probe<simd::Emulated<4, true>>},
      {"Emulated<8>", Isa::portable, 8, probe<simd::Emulated<8, true>>},
      {"Emulated<16>", Isa::portable, 16, probe<simd::Emulated<16, true>>},
  };
  return types[lanes == 4 ? 0 : lanes == 8 ? 1 : 2];
}

std::vector<SimdProbe> runnable_types() {
  std::vector<SimdProbe> types;
  for (const SimdProbe& type : native_simd_types())
    if (cpu_has(type.isa)) types.push_back(type);
  for (const int lanes : {4, 8, 16}) types.push_back(emulated(lanes));
  return types;
}

float edge_value(uint64_t draw) {
  using Limits = std::numeric_limits<float>;
  const float edges[] = {0.0f, 1.0f,          Limits::denorm_min(), Limits::min(),       Limits::min() / 2,
                         1.5f, Limits::max(), Limits::infinity(),   Limits::quiet_NaN(), Limits::epsilon()};
  const float value = edges[draw / 2 % std::size(edges)];
  return draw % 2 == 0 ? value : -value;
}

// Kinds in turn: values around one, edges, any bits.
SimdInput random_input(int kind, std::mt19937_64& random) {
  SimdInput input;
  const auto draw = [&] {
    if (kind == 0) return static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-52 - 1.0);
    if (kind == 1) return edge_value(random() >> 8);
    return std::bit_cast<float>(static_cast<uint32_t>(random()));
  };
  for (int i = 0; i < kMaxSimdLanes; ++i) input.a[i] = draw(), input.b[i] = draw(), input.c[i] = draw();
  for (float& value : input.four) value = draw();
  for (unsigned char& byte : input.misaligned) byte = static_cast<unsigned char>(random() >> 8);
  return input;
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }
bool same_value(float a, float b) { return same_bits(a, b) || (std::isnan(a) && std::isnan(b)); }

// dot_pairs in the probe: c + low half * 1 + high half * -3.
bool close_to_pairs(float got, const SimdInput& input, int lane) {
  uint16_t halves[2];
  std::memcpy(halves, static_cast<const char*>(input.bytes()) + 4 * lane, 4);
  const double c = input.c[lane], low = to_f32(bf16{halves[0]}), high = -3.0 * to_f32(bf16{halves[1]});
  const double magnitude = std::abs(c) + std::abs(low) + std::abs(high);
  if (!(magnitude < std::numeric_limits<float>::max())) return true;  // not a number, or may overflow on the way
  // Two roundings, and up to four terms below the smallest normal number taken as zero.
  return std::abs(got - (c + low + high)) <= 2.01 * 0x1p-24 * magnitude + 4 * 3 * 0x1p-126;
}

class SimdTest : public testing::TestWithParam<SimdProbe> {
 protected:
  void expect_agreement(const SimdInput& input) const {
    SimdResult results[kMaxSimdResults], expected[kMaxSimdResults];
    const SimdProbe& reference = emulated(type().lanes);
    const int count = type().run(input, results);
    const int expected_count = reference.run(input, expected);
    int at = 0;  // the reference has every operation, in the same order
    for (int k = 0; k < count; ++k, ++at) {
      while (at < expected_count && std::strcmp(expected[at].operation, results[k].operation) != 0) ++at;
      ASSERT_LT(at, expected_count) << results[k].operation << ": Emulated does not have it";
      for (int i = 0; i < type().lanes; ++i)
        ASSERT_TRUE(agrees(results[k], expected[at], input, i))
            << results[k].operation << " lane " << i << ": " << results[k].lane[i] << ", expected "
            << expected[at].lane[i] << " from " << input.a[i] << ", " << input.b[i] << ", " << input.c[i];
    }
  }
  bool agrees(const SimdResult& result, const SimdResult& expected, const SimdInput& input, int i) const {
    const float got = result.lane[i], want = expected.lane[i];
    switch (result.agreement) {
      case Agreement::bits:
        return same_bits(got, want);
      case Agreement::values:
        return same_value(got, want);
      case Agreement::numbers:
        return got == want || std::any_of(input.a, input.a + type().lanes, [](float v) { return std::isnan(v); });
      case Agreement::fused:
        return same_value(got, type().isa == Isa::portable ? want : std::fma(input.a[i], input.b[i], input.c[i]));
      case Agreement::pairs:
        return close_to_pairs(got, input, i);
    }
    return false;
  }
  const SimdProbe& type() const { return GetParam(); }
};

TEST_P(SimdTest, EveryOperationAgreesWithPlainCode) {
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 3000; ++round) {
    expect_agreement(random_input(round % 3, random));
    if (HasFatalFailure()) return;
  }
}

TEST_P(SimdTest, EverySixteenBitFloat) {
  std::mt19937_64 random(kSeed);
  SimdInput input = random_input(0, random);
  for (int first = 0; first < 1 << 16; first += type().lanes) {
    for (int i = 0; i < type().lanes; ++i) {
      const auto half = static_cast<uint16_t>(first + i);
      std::memcpy(input.misaligned + 1 + 2 * i, &half, 2);
    }
    expect_agreement(input);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SimdTest, testing::ValuesIn(runnable_types()), [](const auto& instance) {
  std::string name = instance.param.name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

// By hand, so that the plain code itself is held to its description.
TEST(EmulatedSimd, ExamplesByHand) {
  using V = simd::Emulated<8, true>;
  const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const uint32_t indices[8] = {3, 2, 1, 0, 7, 4, 0xfffffff2u, 1};
  float got[8];

  V::store(got, V::select4(V::load(values), V::load_words(indices)));
  EXPECT_EQ(std::vector<float>(got, got + 8), (std::vector<float>{4, 3, 2, 1, 8, 5, 7, 6}));

  V::store(got, V::broadcast4(values));
  EXPECT_EQ(std::vector<float>(got, got + 8), (std::vector<float>{1, 2, 3, 4, 1, 2, 3, 4}));

  EXPECT_EQ(V::sum(V::load(values)), 36.0f);

  V::store(got, V::max(V::load(values), V::broadcast(4.5f)));
  EXPECT_EQ(std::vector<float>(got, got + 8), (std::vector<float>{4.5, 4.5, 4.5, 4.5, 5, 6, 7, 8}));

  const auto word = V::broadcast_word(0x40003f80);  // bf16 1.0 low, 2.0 high
  V::store(got, V::bf16_low(word));
  EXPECT_EQ(got[0], 1.0f);
  V::store(got, V::bf16_high(word));
  EXPECT_EQ(got[7], 2.0f);
  V::store(got, V::dot_pairs(V::broadcast(10.0f), word, word));
  EXPECT_EQ(got[5], 15.0f);  // 10 + 1 * 1 + 2 * 2
  V::store(got, V::bf16_low(V::shift_right<16>(word)));
  EXPECT_EQ(got[2], 2.0f);
}

}  // namespace
}  // namespace esparse
