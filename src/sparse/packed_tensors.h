// What the tensors of packed weights (N:M, bitmap, Spense) in a checkpoint have in common.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "base/status.h"
#include "io/tensor_store.h"

namespace esparse {

// The numbers of the tensor `name`, I32 [count]: version, shape and what else a format says in numbers.
template <size_t count>
Result<std::array<int32_t, count>> load_record(const TensorStore& store, const std::string& name) {
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo tensor, store.get(name, {static_cast<int64_t>(count)}));
  if (tensor.dtype != DType::i32)
    return corruption("tensor \"{}\": expected I32, got {}", name, dtype_name(tensor.dtype));
  std::array<int32_t, count> record;
  ESPARSE_CHECK(tensor.data.size() == sizeof(record));  // the store has checked shape against bytes
  std::memcpy(record.data(), tensor.data.data(), sizeof(record));
  return record;
}

// The types of kept values and of their bits.
inline Status check_packed_types(const TensorInfo& values, const TensorInfo& bitmask) {
  if (!is_weight_dtype(values.dtype))
    return unsupported("tensor \"{}\": expected F32, F16 or BF16, got {}", values.name, dtype_name(values.dtype));
  if (bitmask.dtype == DType::u8) return {};
  return corruption("tensor \"{}\": expected U8, got {}", bitmask.name, dtype_name(bitmask.dtype));
}

inline Status check_configured_shape(int64_t out, int64_t in, int64_t out_features, int64_t in_features) {
  if (out == out_features && in == in_features) return {};
  return corruption("expected the shape [{}, {}] of the model's configuration, got [{}, {}]", out_features, in_features,
                    out, in);
}

}  // namespace esparse
