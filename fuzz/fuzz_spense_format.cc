// Spense tensors of a hostile checkpoint: what load_spense() accepts must be what docs/formats/spense.md allows, judged
// here by plain loops, and must unpack and run through every path without a read out of bounds; what it refuses must be
// wrong.
// Bytes: a valid weight by shape and seed, then edits of its four tensors.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "fuzz/byte_source.h"
#include "fuzz/exact_bytes.h"
#include "fuzz/fail.h"
#include "fuzz/packed_claim.h"
#include "io/tensor_store.h"
#include "kernels/few.h"
#include "kernels/isa.h"
#include "sparse/spense_storage.h"

namespace esparse::fuzz {
namespace {

// Places in the record.
enum Field { kVersion, kSplit, kKept, kGroup, kOut, kIn, kDense, kFields };

struct Claim {
  int64_t out, in;  // of the model's configuration
  Tensor values{"w.weight.spense_values", DType::f32, {}, {}};
  Tensor bitmask{"w.weight.spense_bitmask", DType::u8, {}, {}};
  Tensor dense{"w.weight.spense_dense", DType::f32, {}, {}};
  Tensor shape{"w.weight.spense_shape", DType::i32, {kFields}, std::vector<std::byte>(4 * kFields)};
  bool another_form_too = false;

  int64_t record(Field field) const {
    int32_t entry;
    std::memcpy(&entry, shape.bytes.data() + 4 * field, 4);
    return entry;
  }
  void set_record(int64_t field, int32_t entry) { std::memcpy(shape.bytes.data() + 4 * field, &entry, 4); }
  int64_t region_rows() const { return out - (record(kSplit) == 0 ? record(kDense) : 0); }
  int64_t region_columns() const { return in - (record(kSplit) == 1 ? record(kDense) : 0); }
  bool bit(int64_t row, int64_t column) const {
    return (std::to_integer<unsigned>(bitmask.bytes[row * bitmask.shape[1] + column / 8]) >> (column % 8) & 1) != 0;
  }
};

std::vector<std::byte> random_bytes(DType dtype, int64_t count, Sequence& sequence) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(static_cast<int64_t>(sequence.next())) * 0x1p-63f;
  std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, values, bytes.data());
  return bytes;
}

Claim valid_claim(ByteSource& source) {
  Claim claim;
  claim.out = source.in_range(2, 40);
  claim.in = source.in_range(2, 150);
  const bool columns = source.flag();
  auto group = source.in_range(2, 32);
  if (source.flag()) group = source.flag() ? 4 : 8;
  const auto kept = source.flag() ? group / 2 : source.in_range(1, group - 1);
  const auto dense = source.in_range(1, (columns ? claim.in : claim.out) - 1);
  const int64_t record[] = {1, columns ? 1 : 0, kept, group, claim.out, claim.in, dense};
  for (int field = 0; field < kFields; ++field) claim.set_record(field, static_cast<int32_t>(record[field]));
  claim.values.dtype = claim.dense.dtype = source.one_of({DType::f32, DType::f16, DType::bf16});

  Sequence sequence(source.take<uint32_t>());
  const int64_t rows = claim.region_rows(), width = claim.region_columns();
  claim.bitmask.shape = {rows, (width + 7) / 8};
  claim.bitmask.bytes.resize(static_cast<size_t>(rows * claim.bitmask.shape[1]));
  int64_t per_row = 0;
  for (int64_t first = 0; first < width; first += group)
    per_row += kept_of(kept, group, std::min(group, width - first));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t first = 0; first < width; first += group) {
      const int64_t columns_here = std::min(group, width - first);
      int64_t to_keep = kept_of(kept, group, columns_here);
      for (int64_t k = 0; k < columns_here; ++k) {
        if (static_cast<int64_t>(sequence.next() % static_cast<uint64_t>(columns_here - k)) >= to_keep) continue;
        --to_keep;
        claim.bitmask.bytes[row * claim.bitmask.shape[1] + (first + k) / 8] |= std::byte{1} << ((first + k) % 8);
      }
    }
  claim.values.shape = {rows, per_row};
  claim.values.bytes = random_bytes(claim.values.dtype, rows * per_row, sequence);
  claim.dense.shape = columns ? std::vector<int64_t>{claim.out, dense} : std::vector<int64_t>{dense, claim.in};
  claim.dense.bytes = random_bytes(claim.dense.dtype, claim.dense.shape[0] * claim.dense.shape[1], sequence);
  return claim;
}

void edit(Claim& claim, ByteSource& source) {
  Tensor* const tensors[] = {&claim.values, &claim.bitmask, &claim.dense, &claim.shape};
  Tensor& tensor = *source.one_of(tensors);
  const auto kind = source.in_range(0, 7);
  switch (kind) {
    case 2:
      if (claim.shape.bytes.size() == 4 * kFields)
        claim.set_record(source.in_range(0, kFields - 1), source.take<int32_t>());
      return;
    case 6:
      (source.flag() ? tensor.present : claim.another_form_too) ^= true;
      return;
    case 7:
      (source.flag() ? claim.out : claim.in) = source.take<int32_t>();
      return;
    default:
      return edit_tensor(tensor, kind, source);
  }
}

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / dtype_bytes(tensor.dtype));
  convert_to_f32(tensor.dtype, tensor.bytes.data(), values);
  return values;
}

bool all_finite(const Tensor& tensor) {
  return std::ranges::all_of(values_of(tensor), [](float value) { return std::isfinite(value); });
}

// docs/formats/spense.md, with plain loops. The store has refused tensors whose bytes do not fit their shape.
bool record_is_right(const Claim& claim) {
  const int64_t split = claim.record(kSplit), kept = claim.record(kKept), group = claim.record(kGroup);
  if (claim.record(kVersion) != 1 || split < 0 || split > 1) return false;
  if (kept < 1 || kept >= group || group > 32) return false;
  if (claim.record(kOut) != claim.out || claim.record(kIn) != claim.in || claim.out < 0 || claim.in < 0) return false;
  return claim.record(kDense) >= 1 && claim.record(kDense) < (split == 0 ? claim.out : claim.in);
}

bool bits_are_right(const Claim& claim) {
  const int64_t kept = claim.record(kKept), group = claim.record(kGroup), width = claim.region_columns();
  for (int64_t row = 0; row < claim.region_rows(); ++row) {
    for (int64_t first = 0; first < width; first += group) {
      int64_t count = 0;
      const int64_t columns = std::min(group, width - first);
      for (int64_t k = 0; k < columns; ++k) count += claim.bit(row, first + k) ? 1 : 0;
      if (count != kept_of(kept, group, columns)) return false;
    }
    for (int64_t pad = width; pad < 8 * claim.bitmask.shape[1]; ++pad)
      if (claim.bit(row, pad)) return false;
  }
  return true;
}

bool is_right(const Claim& claim) {
  for (const Tensor* tensor : {&claim.values, &claim.bitmask, &claim.dense, &claim.shape})
    if (!tensor->present) return false;
  if (claim.another_form_too || claim.shape.dtype != DType::i32) return false;
  if (claim.shape.shape != std::vector<int64_t>{kFields} || !record_is_right(claim)) return false;
  const int64_t kept = claim.record(kKept), group = claim.record(kGroup), dense = claim.record(kDense);
  const int64_t rows = claim.region_rows(), width = claim.region_columns();
  const int64_t per_row = width / group * kept + kept_of(kept, group, width % group);
  if (claim.values.shape != std::vector<int64_t>{rows, per_row}) return false;
  if (claim.bitmask.shape != std::vector<int64_t>{rows, (width + 7) / 8}) return false;
  const bool columns = claim.record(kSplit) == 1;
  if (claim.dense.shape != std::vector<int64_t>{columns ? claim.out : dense, columns ? dense : claim.in}) return false;
  if (claim.bitmask.dtype != DType::u8 || !is_weight_dtype(claim.values.dtype)) return false;
  if (claim.dense.dtype != claim.values.dtype) return false;
  return bits_are_right(claim) && all_finite(claim.values) && all_finite(claim.dense);
}

std::vector<float> dense_of(const Claim& claim) {
  const std::vector<float> values = values_of(claim.values), dense = values_of(claim.dense);
  std::vector<float> weight(static_cast<size_t>(claim.out * claim.in));
  size_t next = 0, next_dense = 0;
  for (int64_t row = 0; row < claim.out; ++row)
    for (int64_t column = 0; column < claim.in; ++column) {
      float& element = weight[row * claim.in + column];
      if (row >= claim.region_rows() || column >= claim.region_columns()) {
        element = dense[next_dense++];
      } else if (claim.bit(row, column)) {
        element = values[next++];
      }
    }
  return weight;
}

void check_rows(const SpenseView& view, const std::vector<float>& dense) {
  for (int64_t row = 0; row < view.out_features; ++row) {
    Matrix<float> unpacked(std::min<int64_t>(2, view.out_features - row), view.in_features);
    unpack_spense_rows_f32(view, row, unpacked.rows(), unpacked.view());
    if (!std::ranges::equal(unpacked.values(),
                            std::span(dense).subspan(row * view.in_features, unpacked.values().size())))
      fail("unpack_spense_rows_f32: row {}: other values than the tensors have", row);
  }
}

void check_view(const Claim& claim, const SpenseView& view) {
  const std::vector<float> dense = dense_of(claim);
  std::vector<std::byte> stored(dense.size() * dtype_bytes(view.dtype));
  convert_from_f32(view.dtype, dense, stored.data());
  if (unpack_spense(view) != stored) fail("unpack_spense: other values than the tensors have");
  if (claim.in == 0 || claim.out == 0) return;  // no model has such a linear
  check_rows(view, dense);
  const bool rounded_x = current_isa() == Isa::avx512_bf16 && view.dtype == DType::bf16;
  check_products(view, dense, claim.out, claim.in, rounded_x);
  const NmView& region = std::get<NmView>(view.sparse);
  if (!fits_tiles(region)) return;
  SpenseView tiled = view;
  const NmTiles tiles = make_nm_tiles(region);
  tiled.sparse = tiles.view();
  check_rows(tiled, dense);
  if (runs_in_tiles(region)) check_products(tiled, dense, claim.out, claim.in, rounded_x);
}

void run(ByteSource source) {
  Claim claim = valid_claim(source);
  for (int edits = 0; edits < 8 && !source.empty(); ++edits) edit(claim, source);

  TensorStore store;
  std::vector<ExactBytes> owned;
  owned.reserve(4);
  for (const Tensor* tensor : {&claim.values, &claim.bitmask, &claim.dense, &claim.shape}) {
    if (!tensor->present) continue;
    owned.emplace_back(tensor->bytes);
    if (!store.add_view({tensor->name, tensor->dtype, tensor->shape, owned.back().bytes()}).ok()) return;
  }
  if (claim.another_form_too && !store.add_owned("w.weight", DType::f32, {1}, std::vector<std::byte>(4)).ok()) return;

  const Result<SpenseView> loaded = load_spense(store, "w", claim.out, claim.in);
  const bool right = is_right(claim);
  if (loaded.ok() && !right) fail("load_spense accepted what docs/formats/spense.md does not allow");
  if (!loaded.ok() && right) fail("load_spense refused a valid weight: {}", loaded.status().message());
  if (loaded.ok()) check_view(claim, loaded.value());
}

}  // namespace
}  // namespace esparse::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  esparse::fuzz::run(esparse::fuzz::ByteSource({data, size}));
  return 0;
}
