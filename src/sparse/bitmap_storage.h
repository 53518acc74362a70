// How a bitmap matrix stands in a safetensors checkpoint: three tensors in the place of `<prefix>.weight`, where prefix
// names the linear ("model.layers.0.self_attn.q_proj"). Byte-level description: docs/formats/bitmap.md.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/tensor_store.h"
#include "sparse/bitmap_matrix.h"

namespace esparse {

inline constexpr int32_t kBitmapFormatVersion = 1;

// True when the checkpoint holds any of the three tensors, so that an incomplete set is an error of load_bitmap() and
// not taken for "there is none".
bool has_bitmap(const TensorStore& store, const std::string& prefix);

// The view borrows the store's memory and the offsets' beside it: it is valid as long as both live; moving this is
// fine.
struct LoadedBitmap {
  BitmapView view;
  std::vector<int64_t> row_offsets;  // 8 bytes for each row
};

// The packed weight of the linear, which must be [out_features, in_features]. Everything, the bits included, is
// checked before the view is handed out; errors name the tensor.
Result<LoadedBitmap> load_bitmap(const TensorStore& store, const std::string& prefix, int64_t out_features,
                                 int64_t in_features);
// The same with the shape that the file itself claims.
Result<LoadedBitmap> load_bitmap(const TensorStore& store, const std::string& prefix);

// The small bitmap_shape tensors a writer needs until its file is written. A deque: adding one never moves the others.
using BitmapShapeRecords = std::deque<std::array<int32_t, 3>>;

// Appends the three tensors of `packed` to `tensors`, for write_safetensors(). TensorInfo only looks: the bytes behind
// `packed` and the `records` must live, and the records stay as they are, until the file is written.
void append_bitmap_tensors(const BitmapView& packed, const std::string& prefix, BitmapShapeRecords& records,
                           std::vector<TensorInfo>& tensors);

}  // namespace esparse
