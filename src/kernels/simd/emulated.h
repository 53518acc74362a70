// Vectors of any width in plain C++; the operations are described in avx2.h. With `pairs` it also stands in for
// Avx512Bf16, so that the kernels written for that run in tests on every machine.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "base/dtype.h"

namespace esparse::simd {

template <int lanes, bool pairs = false>
struct Emulated {
  static constexpr int kLanes = lanes;
  static constexpr bool kHasPairs = pairs;
  struct F {
    float lane[lanes];
  };
  struct I {
    uint32_t lane[lanes];
  };

  template <typename Fn>
  static F make(Fn value_of_lane) {
    F result;
    for (int i = 0; i < lanes; ++i) result.lane[i] = value_of_lane(i);
    return result;
  }
  template <typename Fn>
  static I make_words(Fn value_of_lane) {
    I result;
    for (int i = 0; i < lanes; ++i) result.lane[i] = value_of_lane(i);
    return result;
  }

  static F zero() { return broadcast(0.0f); }
  static F broadcast(float value) {
    return make([&](int) { return value; });
  }
  static F load(const void* p) {
    F result;
    std::memcpy(result.lane, p, sizeof(result.lane));
    return result;
  }
  static void store(float* p, F v) { std::memcpy(p, v.lane, sizeof(v.lane)); }
  static F add(F a, F b) {
    return make([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static F mul(F a, F b) {
    return make([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static F max(F a, F b) {
    return make([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F fma(F a, F b, F c) {  // rounded twice: the processors this is for may have no fused instruction
    return make([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  static float sum(F v) {  // in halves, as the other types do
    for (int half = lanes / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) v.lane[i] += v.lane[i + half];
    return v.lane[0];
  }

  static F load_bf16(const void* p) { return widen<bf16>(p); }
  static F load_f16(const void* p) { return widen<f16>(p); }

  static I load_words(const void* p) {
    I result;
    std::memcpy(result.lane, p, sizeof(result.lane));
    return result;
  }
  template <int count>
  static I shift_right(I v) {
    return make_words([&](int i) { return v.lane[i] >> count; });
  }
  static F bf16_low(I v) {
    return make([&](int i) { return as_float(v.lane[i] << 16); });
  }
  static F bf16_high(I v) {
    return make([&](int i) { return as_float(v.lane[i] & 0xffff0000u); });
  }

  static F broadcast4(const float* p) {
    return make([&](int i) { return p[i & 3]; });
  }
  static F select4(F v, I index) {
    return make([&](int i) { return v.lane[(i & ~3) + static_cast<int>(index.lane[i] & 3)]; });
  }

  static F dot_pairs(F c, I a, I b) {
    const F low = fma(bf16_low(a), bf16_low(b), c);
    return fma(bf16_high(a), bf16_high(b), low);
  }
  static I broadcast_word(uint32_t value) {
    return make_words([&](int) { return value; });
  }

  static void prefetch(const void*) {}

  static void prefetch_second_level(const void*) {}
  static I as_words(F v) {
    return make_words([&](int i) { return std::bit_cast<uint32_t>(v.lane[i]); });
  }
  static I add_words(I a, I b) {
    return make_words([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static void store_words(uint32_t* p, I v) { std::memcpy(p, v.lane, sizeof(v.lane)); }
  static void store_scaled_bytes(uint32_t* p, uint64_t bytes, uint32_t scale, uint32_t base) {
    for (int i = 0; i < 8; ++i) p[i] = static_cast<uint32_t>(bytes >> (8 * i) & 255) * scale + base;
  }
  static void transpose(F (&rows)[lanes]) {
    for (int i = 0; i < lanes; ++i)
      for (int j = i + 1; j < lanes; ++j) std::swap(rows[i].lane[j], rows[j].lane[i]);
  }
  static I round_bf16(F v) {
    return make_words([&](int i) { return static_cast<uint32_t>(to_bf16(v.lane[i]).bits); });
  }
  static I pair_words(I low, I high) {
    return make_words([&](int i) { return low.lane[i] | high.lane[i] << 16; });
  }
  static I lookup16(const uint32_t* table, I index) {
    return make_words([&](int i) { return table[index.lane[i] & 15]; });
  }

 private:
  static float as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
  template <typename T>
  static F widen(const void* p) {
    T values[lanes];
    std::memcpy(values, p, sizeof(values));
    return make([&](int i) { return to_f32(values[i]); });
  }
};

}  // namespace esparse::simd
