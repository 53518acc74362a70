// Vectors of any width in plain C++; the operations are described in avx2.h. With `pairs` it also stands in for
// Avx512Bf16, so that the kernels written for that run in tests on every machine.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/dtype.h"

namespace esparse::simd {

template <int lanes, bool pairs = false>
struct Emulated {
  static constexpr int kLanes = lanes;
  static constexpr int kRegisters = 16;
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
  static I selector4(I index) { return index; }
  static F select4_by(F v, I selector) { return select4(v, selector); }

  static F dot_pairs(F c, I a, I b) {
    const F low = fma(bf16_low(a), bf16_low(b), c);
    return fma(bf16_high(a), bf16_high(b), low);
  }
  static I broadcast_word(uint32_t value) {
    return make_words([&](int) { return value; });
  }

  static I broadcast8(const void* p) {
    uint32_t words[2];
    std::memcpy(words, p, sizeof(words));
    return make_words([&](int i) { return words[i & 1]; });
  }
  static I shuffle_bytes(I v, I control) {
    return make_words([&](int i) {
      uint32_t result = 0;
      for (int k = 0; k < 32; k += 8) {
        const uint32_t from = control.lane[i] >> k & 15;
        result |= (v.lane[(i & ~3) + static_cast<int>(from / 4)] >> (8 * (from % 4)) & 0xff) << k;
      }
      return result;
    });
  }
  static I broadcast16(const void* p) {
    uint32_t words[4];
    std::memcpy(words, p, sizeof(words));
    return make_words([&](int i) { return words[i & 3]; });
  }
  static I lookup_bytes(const uint8_t* table, I bytes) {
    return make_bytes([&](int k) { return table[byte(bytes, k) & 127]; });
  }
  static I zip_bytes_low(I a, I b) {
    return make_bytes([&](int k) { return byte(k % 2 == 0 ? a : b, k / 16 * 16 + k % 16 / 2); });
  }
  static I zip_bytes_high(I a, I b) {
    return make_bytes([&](int k) { return byte(k % 2 == 0 ? a : b, k / 16 * 16 + 8 + k % 16 / 2); });
  }
  static I zip_halves_low(I a, I b) {
    return make_bytes([&](int k) { return byte(k / 2 % 2 == 0 ? a : b, k / 16 * 16 + k % 16 / 4 * 2 + k % 2); });
  }
  static I zip_halves_high(I a, I b) {
    return make_bytes([&](int k) { return byte(k / 2 % 2 == 0 ? a : b, k / 16 * 16 + 8 + k % 16 / 4 * 2 + k % 2); });
  }
  static void spread_bytes(const uint32_t (&words)[4], const uint8_t* from, std::byte* target) {
    for (int k = 0; k < 16; ++k)
      target[k] = from[k] >= 128 ? std::byte{0} : static_cast<std::byte>(words[from[k] / 4] >> (8 * (from[k] % 4)));
  }
  static I pick_halves(I table, I index) {
    const auto half = [&](uint32_t from) { return table.lane[(from & 31) / 2] >> (16 * (from & 1)) & 0xffff; };
    return make_words([&](int i) { return half(index.lane[i] & 0xffff) | half(index.lane[i] >> 16) << 16; });
  }
  static I lookup16(I table, I index) {
    return make_words([&](int i) { return table.lane[index.lane[i] & 15]; });
  }
  static F expand_bf16(const void* values, uint32_t mask) { return spread(load_bf16(values), mask); }
  static F expand_f16(const void* values, uint32_t mask) { return spread(load_f16(values), mask); }
  static F expand_f32(const void* values, uint32_t mask) { return spread(load(values), mask); }
  static I expand_bf16_pairs(const void* values, uint32_t mask) {
    uint16_t stored[2 * lanes], columns[2 * lanes];
    std::memcpy(stored, values, sizeof(stored));
    int slot = 0;
    for (int i = 0; i < 2 * lanes; ++i) columns[i] = (mask >> i & 1) != 0 ? stored[slot++] : uint16_t{0};
    return make_words([&](int i) { return columns[2 * i] | static_cast<uint32_t>(columns[2 * i + 1]) << 16; });
  }

  static void prefetch(const void*) {}

  static F sub(F a, F b) {
    return make([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static F min(F a, F b) {
    return make([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static void sum4(F a, F b, F c, F d, float* target) {
    target[0] = sum(a), target[1] = sum(b), target[2] = sum(c), target[3] = sum(d);
  }
  static float max_lane(F v) {
    float largest = v.lane[0];
    for (int i = 1; i < lanes; ++i) largest = v.lane[i] > largest ? v.lane[i] : largest;
    return largest;
  }
  static F power_of_two(F v) {
    return make([&](int i) { return as_float((std::bit_cast<uint32_t>(v.lane[i]) + 127u) << 23); });
  }
  static void store_f16(void* p, F v) { narrow<f16>(p, v, to_f16); }
  static void store_bf16(void* p, F v) { narrow<bf16>(p, v, to_bf16); }
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

 private:
  static uint8_t byte(I v, int k) { return static_cast<uint8_t>(v.lane[k / 4] >> (8 * (k % 4))); }
  template <typename Fn>
  static I make_bytes(Fn value_of_byte) {
    return make_words([&](int i) {
      uint32_t word = 0;
      for (int k = 0; k < 4; ++k) word |= static_cast<uint32_t>(value_of_byte(4 * i + k)) << (8 * k);
      return word;
    });
  }
  template <typename T, typename Fn>
  static void narrow(void* p, F v, Fn convert) {
    T values[lanes];
    for (int i = 0; i < lanes; ++i) values[i] = convert(v.lane[i]);
    std::memcpy(p, values, sizeof(values));
  }
  static F spread(F values, uint32_t mask) {
    int slot = 0;
    return make([&](int i) { return (mask >> i & 1) != 0 ? values.lane[slot++] : 0.0f; });
  }
  static float as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
  template <typename T>
  static F widen(const void* p) {
    T values[lanes];
    std::memcpy(values, p, sizeof(values));
    return make([&](int i) { return to_f32(values[i]); });
  }
};

}  // namespace esparse::simd
