// Row kernels in plain C++: correct everywhere, and the floor that the others are compared with.
#include <cstring>

#include "kernels/row_kernels.h"

namespace esparse {
namespace {

// Eight partial sums: the compiler may keep them in vector registers without reordering any addition.
constexpr int kLanes = 8;

float sum_lanes(const float (&lanes)[kLanes]) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

template <typename T>
float load_element(const std::byte* source, int64_t index) {
  T value;
  std::memcpy(&value, source + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return to_f32(value);
}

template <typename T>
float dot_typed(const std::byte* weight, const float* x, int64_t count) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += load_element<T>(weight, i + lane) * x[i + lane];
  for (; i < count; ++i) lanes[i % kLanes] += load_element<T>(weight, i) * x[i];
  return sum_lanes(lanes);
}

void widen(DType dtype, const std::byte* source, float* target, int64_t count) {
  convert_to_f32(dtype, source, {target, static_cast<size_t>(count)});
}

float dot(const float* a, const float* b, int64_t count) {
  return dot_typed<float>(reinterpret_cast<const std::byte*>(a), b, count);
}

// Calls visit(column, value) for the kept weights of one row, ascending.
template <typename T, typename Visit>
void visit_row(const BitRowsView& packed, int64_t row, Visit visit) {
  const std::byte* values = packed.row_values(row);
  const uint8_t* bitmask = packed.row_bits(row);
  int64_t slot = 0;
  for (int64_t byte = 0; byte < packed.bitmask_row_bytes(); ++byte)
    for (unsigned bits = bitmask[byte]; bits != 0; bits &= bits - 1)
      visit(byte * 8 + __builtin_ctz(bits), load_element<T>(values, slot++));
}

template <typename Visit>
void visit_row(const BitRowsView& packed, int64_t row, Visit visit) {
  if (packed.dtype == DType::bf16) return visit_row<bf16>(packed, row, visit);
  if (packed.dtype == DType::f16) return visit_row<f16>(packed, row, visit);
  return visit_row<float>(packed, row, visit);
}

void expand_bits(const BitRowsView& packed, int64_t row, float* target) {
  std::memset(target, 0, static_cast<size_t>(packed.in_features) * sizeof(float));
  visit_row(packed, row, [&](int64_t column, float value) { target[column] = value; });
}

}  // namespace

const RowKernels kPortableRowKernels = {"portable", widen, dot, expand_bits};

}  // namespace esparse
