#include "bench/random_weight.h"

#include <random>
#include <type_traits>

#include "base/parallel.h"

namespace esparse {

Matrix<float> random_weight(const LinearShape& shape, DType dtype) {
  Matrix<float> values(shape.out_features, shape.in_features);
  parallel_for(values.rows(), [&](int64_t row, int) {
    std::mt19937 random(static_cast<uint32_t>(row));
    for (float& value : values.row(row)) {
      value = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
      std::byte stored[sizeof(float)];
      convert_from_f32(dtype, {&value, 1}, stored);
      convert_to_f32(dtype, stored, {&value, 1});
    }
  });
  return values;
}

// Row-major bytes of dtype with the pattern applied.
std::vector<std::byte> stored_rows(const Matrix<float>& values, DType dtype, const BenchPattern& pattern) {
  const int64_t row_bytes = values.cols() * dtype_bytes(dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(values.rows() * row_bytes));
  parallel_for(values.rows(), [&](int64_t row, int) {
    std::vector<float> kept(values.row(row).begin(), values.row(row).end());
    apply_pattern(pattern, values.rows(), row, kept);
    convert_from_f32(dtype, kept, bytes.data() + row * row_bytes);
  });
  return bytes;
}

Result<StoredWeight> StoredWeight::create(const Matrix<float>& values, DType dtype, const BenchPattern& pattern) {
  StoredWeight weight;
  weight.dtype_ = dtype, weight.out_features_ = values.rows(), weight.in_features_ = values.cols();
  weight.rows_ = stored_rows(values, dtype, pattern);
  const int64_t out = values.rows(), in = values.cols();
  if (pattern.dense_fraction) {
    ESPARSE_ASSIGN_OR_RETURN(weight.packed_, pack_spense(pattern.layout(out, in), dtype, weight.rows_, out, in));
  } else if (pattern.density) {
    ESPARSE_ASSIGN_OR_RETURN(weight.packed_, pack_bitmap(dtype, weight.rows_, out, in));
  } else if (pattern.nm) {
    ESPARSE_ASSIGN_OR_RETURN(weight.packed_, pack_nm(*pattern.nm, dtype, weight.rows_, out, in));
  }
  return weight;
}

WeightView StoredWeight::view() const {
  return std::visit(
      [&](const auto& packed) -> WeightView {
        if constexpr (std::is_same_v<std::decay_t<decltype(packed)>, std::monostate>)
          return DenseView{dtype_, out_features_, in_features_, rows_.data()};
        else
          return packed.view();
      },
      packed_);
}

}  // namespace esparse
