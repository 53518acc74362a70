// How an N:M matrix stands in a safetensors checkpoint: three tensors in the place of `<prefix>.weight`, where prefix
// names the linear ("model.layers.0.self_attn.q_proj"). Byte-level description: docs/formats/nm.md.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/tensor_store.h"
#include "sparse/nm_matrix.h"

namespace esparse {

// The version in nm_shape: 1 where M divides in_features, 2 where it need not. Written is 1 wherever it fits, so that a
// program that knows no other reads all that it can.
inline constexpr int32_t kNmWholeGroupsVersion = 1;
inline constexpr int32_t kNmFormatVersion = 2;

// True when the checkpoint holds any of the three tensors, so that an incomplete set is an error of load_nm() and not
// taken for "there is none".
bool has_nm(const TensorStore& store, const std::string& prefix);

// The packed weight of the linear, which must be [out_features, in_features]. Everything, the bits included, is
// checked before the view is handed out; errors name the tensor. The view borrows the store's memory: it is valid as
// long as the store lives, and its values may be unaligned (see NmView).
Result<NmView> load_nm(const TensorStore& store, const std::string& prefix, int64_t out_features, int64_t in_features);

// The small nm_shape tensors a writer needs until its file is written. A deque: adding one never moves the others.
using NmShapeRecords = std::deque<std::array<int32_t, 5>>;

// Appends the three tensors of `packed` to `tensors`, for write_safetensors(). TensorInfo only looks: the bytes behind
// `packed` and the `records` must live, and the records stay as they are, until the file is written.
void append_nm_tensors(const NmView& packed, const std::string& prefix, NmShapeRecords& records,
                       std::vector<TensorInfo>& tensors);

}  // namespace esparse
