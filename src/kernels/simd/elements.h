// The three types a weight, a key or a value may be stored in, for kernels that are templates over a vector type V.
#pragma once

#include <cstddef>
#include <cstdint>

namespace esparse::simd {

// kLanes stored elements as f32.
template <typename V>
struct ElementsF32 {
  static constexpr int64_t kBytes = 4;
  static typename V::F load(const std::byte* p) { return V::load(p); }
};
template <typename V>
struct ElementsF16 {
  static constexpr int64_t kBytes = 2;
  static typename V::F load(const std::byte* p) { return V::load_f16(p); }
};
template <typename V>
struct ElementsBf16 {
  static constexpr int64_t kBytes = 2;
  static typename V::F load(const std::byte* p) { return V::load_bf16(p); }
};

}  // namespace esparse::simd
