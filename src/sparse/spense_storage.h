// How a Spense weight stands in a safetensors checkpoint: four tensors in the place of `<prefix>.weight`, where prefix
// names the linear ("model.layers.0.mlp.up_proj"). Byte-level description: docs/formats/spense.md.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/tensor_store.h"
#include "sparse/spense_matrix.h"

namespace esparse {

inline constexpr int32_t kSpenseFormatVersion = 1;

// True when the checkpoint holds any of the four tensors, so that an incomplete set is an error of load_spense() and
// not taken for "there is none".
bool has_spense(const TensorStore& store, const std::string& prefix);

// The packed weight of the linear, which must be [out_features, in_features]. Everything, the bits included, is
// checked before the view is handed out; errors name the tensor. The view borrows the store's memory: it is valid as
// long as the store lives, and its values may be unaligned.
Result<SpenseView> load_spense(const TensorStore& store, const std::string& prefix, int64_t out_features,
                               int64_t in_features);
// The same with the shape that the file itself claims.
Result<SpenseView> load_spense(const TensorStore& store, const std::string& prefix);

// The small spense_shape tensors a writer needs until its file is written. A deque: adding one never moves the others.
using SpenseShapeRecords = std::deque<std::array<int32_t, 7>>;

// Appends the four tensors of `packed`, whose N:M region is not in tiles, to `tensors`, for write_safetensors().
// TensorInfo only looks: the bytes behind `packed` and the `records` must live, and the records stay as they are, until
// the file is written.
void append_spense_tensors(const SpenseView& packed, const std::string& prefix, SpenseShapeRecords& records,
                           std::vector<TensorInfo>& tensors);

}  // namespace esparse
