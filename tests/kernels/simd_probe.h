// All operations of a vector type of kernels/simd/ on one input, behind a plain function: a program compiled without
// the instruction set can call it. Only the files that instantiate probe() are compiled with special flags.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "kernels/isa.h"

namespace esparse::testing_support {

inline constexpr int kMaxSimdLanes = 16;

// Unaligned bytes stand behind one spare byte.
struct SimdInput {
  float a[kMaxSimdLanes], b[kMaxSimdLanes], c[kMaxSimdLanes];
  float four[4];
  unsigned char misaligned[1 + 4 * kMaxSimdLanes];
  const void* bytes() const { return misaligned + 1; }
};

// How far two vector types may differ.
enum class Agreement {
  bits,     // moves of bits
  values,   // arithmetic rounded once per operation: same bits, but any NaN for a NaN
  numbers,  // the same number, whatever a NaN among the inputs does
  fused,    // a * b + c rounded once
  pairs,    // c + two products in any order, subnormals as zero or not
};

struct SimdResult {
  const char* operation;
  Agreement agreement;
  float lane[kMaxSimdLanes];
};

inline constexpr int kMaxSimdResults = 64;

struct SimdProbe {
  const char* name;
  Isa isa;
  int lanes;
  // Writes one result per operation and returns how many.
  int (*run)(const SimdInput& input, SimdResult* results);
};

// The types of this processor family, those it cannot run included: x86/, arm/ and portable/.
std::span<const SimdProbe> native_simd_types();

// Operations that only some kernels need, so not every type has all of them.
template <typename V, typename Put>
void probe_of_some(const SimdInput& input, const Put& put) {
  const auto a = V::load(input.a), b = V::load(input.b), c = V::load(input.c);
  const auto words = V::load_words(input.bytes());
  const uint32_t mask = input.misaligned[1] & ((1u << V::kLanes) - 1);
  float lanes[kMaxSimdLanes] = {};
  unsigned char halves[1 + 2 * kMaxSimdLanes];
  if constexpr (requires { V::sub(a, b); }) put("sub", Agreement::values, V::sub(a, b));
  if constexpr (requires { V::min(a, b); }) put("min", Agreement::bits, V::min(a, b));
  if constexpr (requires { V::max_lane(a); }) put("max_lane", Agreement::numbers, V::broadcast(V::max_lane(a)));
  if constexpr (requires { V::power_of_two(a); }) put("power_of_two", Agreement::bits, V::power_of_two(a));
  if constexpr (requires { V::sum4(a, b, c, a, lanes); }) {
    V::sum4(a, b, c, a, lanes);
    put("sum4", Agreement::values, V::broadcast4(lanes));
  }
  if constexpr (requires { V::store_f16(halves, a); }) {
    V::store_f16(halves + 1, a);
    put("store_f16", Agreement::values, V::load_f16(halves + 1));
  }
  if constexpr (requires { V::store_bf16(halves, a); }) {
    V::store_bf16(halves + 1, a);
    put("store_bf16", Agreement::values, V::load_bf16(halves + 1));
  }
  if constexpr (requires { V::selector4(words); })
    put("select4_by", Agreement::bits, V::select4_by(a, V::selector4(words)));
  if constexpr (requires { V::expand_f32(lanes, mask); }) {
    put("expand_bf16", Agreement::bits, V::expand_bf16(input.bytes(), mask));
    put("expand_f16", Agreement::values, V::expand_f16(input.bytes(), mask));
    put("expand_f32", Agreement::bits, V::expand_f32(input.bytes(), mask));
  }
  if constexpr (requires { V::add_words(words, words); }) {
    V::store_words(reinterpret_cast<uint32_t*>(lanes), V::add_words(words, V::as_words(a)));
    put("add_words, as_words, store_words", Agreement::bits, V::load(lanes));
  }
  if constexpr (requires { V::store_scaled_bytes(nullptr, 0, 0, 0); }) {
    uint64_t bytes;
    std::memcpy(&bytes, input.bytes(), sizeof(bytes));
    V::store_scaled_bytes(reinterpret_cast<uint32_t*>(lanes), bytes, 12, 1000);
    for (int i = 0; i < 8; i += V::kLanes) put("store_scaled_bytes", Agreement::bits, V::load(lanes + i));
  }
  if constexpr (requires(typename V::F(&rows)[V::kLanes]) { V::transpose(rows); }) {
    typename V::F rows[V::kLanes];
    for (int i = 0; i < V::kLanes; ++i) rows[i] = V::add(a, V::broadcast(input.b[i]));
    V::transpose(rows);
    for (int i = 0; i < V::kLanes; ++i) put("transpose", Agreement::values, rows[i]);
  }
}

template <typename V>
int probe(const SimdInput& input, SimdResult* results) {
  int count = 0;
  const auto put = [&](const char* operation, Agreement agreement, typename V::F value) {
    results[count].operation = operation;
    results[count].agreement = agreement;
    V::store(results[count++].lane, value);
  };
  const auto a = V::load(input.a), b = V::load(input.b), c = V::load(input.c);
  const auto words = V::load_words(input.bytes());
  put("zero", Agreement::bits, V::zero());
  put("broadcast", Agreement::bits, V::broadcast(input.a[3]));
  put("load", Agreement::bits, V::load(input.bytes()));
  put("add", Agreement::values, V::add(a, b));
  put("mul", Agreement::values, V::mul(a, b));
  put("max", Agreement::bits, V::max(a, b));
  put("fma", Agreement::fused, V::fma(a, b, c));
  put("sum", Agreement::values, V::broadcast(V::sum(a)));
  put("load_bf16", Agreement::bits, V::load_bf16(input.bytes()));
  put("load_f16", Agreement::values, V::load_f16(input.bytes()));
  put("bf16_low", Agreement::bits, V::bf16_low(words));
  put("bf16_high", Agreement::bits, V::bf16_high(words));
  put("shift_right<4>, low half", Agreement::bits, V::bf16_low(V::template shift_right<4>(words)));
  put("shift_right<4>, high half", Agreement::bits, V::bf16_high(V::template shift_right<4>(words)));
  put("shift_right<31>, low half", Agreement::bits, V::bf16_low(V::template shift_right<31>(words)));
  put("broadcast4", Agreement::bits, V::broadcast4(input.four));
  put("select4", Agreement::bits, V::select4(a, words));
  if constexpr (V::kHasPairs) {
    const auto word = V::broadcast_word(0xc0403f80u);  // the bf16 1.0 in the low half, -3.0 in the high half
    put("broadcast_word, low half", Agreement::bits, V::bf16_low(word));
    put("broadcast_word, high half", Agreement::bits, V::bf16_high(word));
    put("dot_pairs", Agreement::pairs, V::dot_pairs(c, words, word));
  }
  probe_of_some<V>(input, put);
  V::prefetch(input.a);
  return count;
}

}  // namespace esparse::testing_support
