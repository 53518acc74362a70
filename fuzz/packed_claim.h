// What the targets of packed formats share: tensors that a fuzzer damages, N:M bits in plain loops, and the products of
// what was accepted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "fuzz/byte_source.h"
#include "fuzz/fail.h"
#include "fuzz/reference.h"
#include "kernels/linear.h"

namespace esparse::fuzz {

struct Tensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  bool present = true;
};

// ceil(N * width / M), the kept columns of a group of that width.
inline int64_t kept_of(int64_t kept, int64_t group, int64_t width) { return (kept * width + group - 1) / group; }

inline void overwrite(Tensor& tensor, ByteSource& source) {
  const auto at = source.take<uint32_t>();
  const auto word = source.take<uint16_t>();
  if (tensor.bytes.size() < 2) return;
  std::memcpy(tensor.bytes.data() + at % (tensor.bytes.size() - 1), &word, 2);
}

inline void flip_bit(Tensor& tensor, ByteSource& source) {
  const auto bit = source.take<uint16_t>();
  if (tensor.bytes.empty()) return;
  tensor.bytes[bit / 8 % tensor.bytes.size()] ^= std::byte{1} << (bit % 8);
}

// Damage that needs no knowledge of the format; `kind` 0, 1, 3, 4 or 5.
inline void edit_tensor(Tensor& tensor, int64_t kind, ByteSource& source) {
  switch (kind) {
    case 0:
      return overwrite(tensor, source);
    case 1:
      return flip_bit(tensor, source);
    case 3:
      tensor.shape[source.take<uint8_t>() % tensor.shape.size()] = source.take<int64_t>();
      return;
    case 4:
      tensor.dtype = static_cast<DType>(source.in_range(0, static_cast<int>(DType::boolean)));
      return;
    case 5:  // as many bytes as the (damaged) shape and type ask for, so that the store has nothing to refuse
      tensor.shape.back() = source.in_range(0, 300);
      tensor.bytes.resize(static_cast<size_t>(std::abs(tensor.shape[0] % 64)) * tensor.shape.back() *
                          dtype_bytes(tensor.dtype));
      return;
  }
}

inline void check_products(const WeightView& weight, const std::vector<float>& dense, int64_t out, int64_t in,
                           bool rounded_x) {
  const int64_t tokens = 2;
  std::vector<float> x(static_cast<size_t>(tokens * in)), y(static_cast<size_t>(tokens * out));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) / 8 - 0.75f;
  for (const LinearPath path : possible_paths(weight, tokens)) {
    LinearPlan plan;
    plan.paths.fill(path);
    linear(weight, {x.data(), tokens, in}, {}, MatrixView<float>(y.data(), tokens, out), plan);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t o = 0; o < out; ++o) {
        Sum sum(0.0f);
        for (int64_t i = 0; i < in; ++i) sum.add(dense[o * in + i], x[t * in + i]);
        if (!sum.agrees(y[t * out + o], rounded_x))
          fail("{}: row {}: {}, expected {}", path_name(path), o, y[t * out + o], sum.value());
      }
  }
}

}  // namespace esparse::fuzz
