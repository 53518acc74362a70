#include "bench/cold_weights.h"

#include <algorithm>
#include <random>

#include "base/parallel.h"
#include "base/timing.h"
#include "kernels/few.h"

namespace esparse {
namespace {

int64_t copies_for(int64_t weight_bytes) {
  constexpr int64_t kMostCopies = 64;  // smaller weights than 1/64 of what is cold are not worth a benchmark
  return std::clamp<int64_t>(cold_bytes() / std::max<int64_t>(weight_bytes, 1) + 1, 1, kMostCopies);
}

template <typename T>
void repeat(std::vector<T>& items, T&& first, int64_t count) {
  items.assign(static_cast<size_t>(count - 1), first);
  items.push_back(std::move(first));
}

// Row-major bytes of dtype with the pattern applied.
std::vector<std::byte> stored_rows(const Matrix<float>& values, DType dtype, const BenchPattern& pattern) {
  const int64_t row_bytes = values.cols() * dtype_bytes(dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(values.rows() * row_bytes));
  parallel_for(values.rows(), [&](int64_t row, int) {
    std::vector<float> kept(values.row(row).begin(), values.row(row).end());
    apply_pattern(pattern, row, kept);
    convert_from_f32(dtype, kept, bytes.data() + row * row_bytes);
  });
  return bytes;
}

}  // namespace

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

Result<ColdWeights> ColdWeights::create(const Matrix<float>& values, DType dtype, const BenchPattern& pattern) {
  ColdWeights weights;
  ESPARSE_RETURN_IF_ERROR(weights.add_copies(values, dtype, pattern));
  return weights;
}

// A form that a pattern is packed to has its branch here.
Status ColdWeights::add_copies(const Matrix<float>& values, DType dtype, const BenchPattern& pattern) {
  std::vector<std::byte> bytes = stored_rows(values, dtype, pattern);
  if (pattern.dense()) {
    weight_bytes_ = static_cast<int64_t>(bytes.size());
    for (int64_t copy = 0; copy < copies_for(weight_bytes_); ++copy) {  // in large pages, as tiles are
      std::copy(bytes.begin(), bytes.end(), dense_.emplace_back(weight_bytes_).data());
      views_.push_back(DenseView{dtype, values.rows(), values.cols(), dense_.back().data()});
    }
    return {};
  }
  if (pattern.density) {
    ESPARSE_ASSIGN_OR_RETURN(BitmapMatrix packed, pack_bitmap(dtype, bytes, values.rows(), values.cols()));
    weight_bytes_ = packed.view().values_bytes() + packed.view().bitmask_bytes();
    repeat(bitmaps_, std::move(packed), copies_for(weight_bytes_));
    for (const auto& copy : bitmaps_) views_.push_back(copy.view());
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(NmMatrix packed, pack_nm(*pattern.nm, dtype, bytes, values.rows(), values.cols()));
  const NmView view = packed.view();
  if (runs_in_tiles(view)) {
    weight_bytes_ = make_nm_tiles(view).view().bytes();
    for (int64_t copy = 0; copy < copies_for(weight_bytes_); ++copy) tiles_.push_back(make_nm_tiles(view));
    for (const auto& copy : tiles_) views_.push_back(copy.view());
    return {};
  }
  weight_bytes_ = view.values_bytes() + view.bitmask_bytes();
  repeat(packed_, std::move(packed), copies_for(weight_bytes_));
  for (const auto& copy : packed_) views_.push_back(copy.view());
  return {};
}

}  // namespace esparse
