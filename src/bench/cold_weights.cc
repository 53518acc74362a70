#include "bench/cold_weights.h"

#include <algorithm>

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

}  // namespace

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
  if (pattern.dense_fraction) return add_spense(bytes, dtype, values.rows(), values.cols(), pattern);
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

// The regions take turns together, each in copies of its own.
Status ColdWeights::add_spense(std::span<const std::byte> bytes, DType dtype, int64_t out_features, int64_t in_features,
                               const BenchPattern& pattern) {
  const SpenseLayout layout = pattern.layout(out_features, in_features);
  ESPARSE_ASSIGN_OR_RETURN(SpenseMatrix packed, pack_spense(layout, dtype, bytes, out_features, in_features));
  const bool tiled = runs_in_tiles(packed.sparse.view());
  if (tiled) tiles_.push_back(make_nm_tiles(packed.sparse.view()));
  const auto region = [&](size_t copy) -> std::variant<NmView, NmTilesView> {
    if (tiled) return tiles_[copy].view();
    return packed_[copy].view();
  };
  SpenseView view = packed.view();
  if (tiled) view.sparse = tiles_[0].view();
  weight_bytes_ = view.bytes();
  const int64_t copies = copies_for(weight_bytes_);
  for (int64_t copy = 1; tiled && copy < copies; ++copy) tiles_.push_back(make_nm_tiles(packed.sparse.view()));
  for (int64_t copy = 0; copy < copies; ++copy)
    std::copy(packed.dense.begin(), packed.dense.end(), dense_.emplace_back(view.dense.bytes()).data());
  if (!tiled) repeat(packed_, std::move(packed.sparse), copies);
  for (size_t copy = 0; copy < dense_.size(); ++copy) {
    view.dense.data = dense_[copy].data();
    view.sparse = region(copy);
    views_.push_back(view);
  }
  return {};
}

}  // namespace esparse
