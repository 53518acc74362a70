// Packed tensors of a hostile checkpoint: what load_nm() accepts must be what docs/formats/nm.md allows, judged here by
// plain loops, and must run through every kernel without a read out of bounds; what it refuses must be wrong.
// Bytes: a valid matrix by shape and seed, then edits of its three tensors.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/byte_source.h"
#include "fuzz/exact_bytes.h"
#include "fuzz/fail.h"
#include "fuzz/reference.h"
#include "io/tensor_store.h"
#include "kernels/few.h"
#include "kernels/linear.h"
#include "kernels/row_kernels.h"
#include "sparse/nm_storage.h"

namespace esparse::fuzz {
namespace {

struct Tensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  bool present = true;
};

struct Claim {
  int64_t out, in;  // of the model's configuration
  Tensor values{"w.weight.nm_values", DType::f32, {}, {}};
  Tensor bitmask{"w.weight.nm_bitmask", DType::u8, {}, {}};
  Tensor shape{"w.weight.nm_shape", DType::i32, {5}, std::vector<std::byte>(20)};
  bool dense_too = false;

  int32_t record(int k) const {
    int32_t entry;
    std::memcpy(&entry, shape.bytes.data() + 4 * k, 4);
    return entry;
  }
  void set_record(int k, int32_t entry) { std::memcpy(shape.bytes.data() + 4 * k, &entry, 4); }
  bool bit(int64_t row, int64_t column) const {
    return (std::to_integer<unsigned>(bitmask.bytes[row * bitmask.shape[1] + column / 8]) >> (column % 8) & 1) != 0;
  }
};

// ceil(N * width / M), the kept columns of a group of that width.
int64_t kept_of(int64_t kept, int64_t group, int64_t width) { return (kept * width + group - 1) / group; }

Claim valid_claim(ByteSource& source) {
  Claim claim;
  claim.out = source.in_range(0, 40);
  claim.in = source.in_range(0, 150);
  auto group = source.in_range(2, 32);
  if (source.flag()) group = source.flag() ? 4 : 8;
  const auto kept = source.flag() ? group / 2 : source.in_range(1, group - 1);
  const int64_t record[] = {claim.in % group == 0 && source.flag() ? 1 : 2, kept, group, claim.out, claim.in};
  for (int k = 0; k < 5; ++k) claim.set_record(k, static_cast<int32_t>(record[k]));
  claim.values.dtype = source.one_of({DType::f32, DType::f16, DType::bf16});

  Sequence sequence(source.take<uint32_t>());
  claim.bitmask.shape = {claim.out, (claim.in + 7) / 8};
  claim.bitmask.bytes.resize(static_cast<size_t>(claim.out * claim.bitmask.shape[1]));
  int64_t per_row = 0;
  for (int64_t first = 0; first < claim.in; first += group)
    per_row += kept_of(kept, group, std::min(group, claim.in - first));
  for (int64_t row = 0; row < claim.out; ++row)
    for (int64_t first = 0; first < claim.in; first += group) {
      const int64_t width = std::min(group, claim.in - first);
      int64_t to_keep = kept_of(kept, group, width);
      for (int64_t k = 0; k < width; ++k) {
        if (static_cast<int64_t>(sequence.next() % static_cast<uint64_t>(width - k)) >= to_keep) continue;
        --to_keep;
        claim.bitmask.bytes[row * claim.bitmask.shape[1] + (first + k) / 8] |= std::byte{1} << ((first + k) % 8);
      }
    }
  claim.values.shape = {claim.out, per_row};
  std::vector<float> values(static_cast<size_t>(claim.out * per_row));
  for (float& value : values) value = static_cast<float>(static_cast<int64_t>(sequence.next())) * 0x1p-63f;
  claim.values.bytes.resize(values.size() * dtype_bytes(claim.values.dtype));
  convert_from_f32(claim.values.dtype, values, claim.values.bytes.data());
  return claim;
}

void overwrite(Tensor& tensor, ByteSource& source) {
  const auto at = source.take<uint32_t>();
  const auto word = source.take<uint16_t>();
  if (tensor.bytes.size() < 2) return;
  std::memcpy(tensor.bytes.data() + at % (tensor.bytes.size() - 1), &word, 2);
}

void flip_bit(Tensor& tensor, ByteSource& source) {
  const auto bit = source.take<uint16_t>();
  if (tensor.bytes.empty()) return;
  tensor.bytes[bit / 8 % tensor.bytes.size()] ^= std::byte{1} << (bit % 8);
}

void edit(Claim& claim, ByteSource& source) {
  Tensor* const tensors[] = {&claim.values, &claim.bitmask, &claim.shape};
  Tensor& tensor = *source.one_of(tensors);
  switch (source.in_range(0, 7)) {
    case 0:
      return overwrite(tensor, source);
    case 1:
      return flip_bit(tensor, source);
    case 2:
      if (claim.shape.bytes.size() == 20)
        claim.set_record(static_cast<int>(source.in_range(0, 4)), source.take<int32_t>());
      return;
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
    case 6:
      (source.flag() ? tensor.present : claim.dense_too) ^= true;
      return;
    case 7:
      (source.flag() ? claim.out : claim.in) = source.take<int32_t>();
      return;
  }
}

// docs/formats/nm.md, with plain loops. The store has refused tensors whose bytes do not fit their shape.
bool bits_are_right(const Claim& claim) {
  const int64_t kept = claim.record(1), group = claim.record(2);
  for (int64_t row = 0; row < claim.out; ++row) {
    for (int64_t first = 0; first < claim.in; first += group) {
      const int64_t width = std::min(group, claim.in - first);
      int64_t count = 0;
      for (int64_t k = 0; k < width; ++k) count += claim.bit(row, first + k) ? 1 : 0;
      if (count != kept_of(kept, group, width)) return false;
    }
    for (int64_t pad = claim.in; pad < 8 * claim.bitmask.shape[1]; ++pad)
      if (claim.bit(row, pad)) return false;
  }
  return true;
}

std::vector<float> values_of(const Claim& claim) {
  std::vector<float> values(claim.values.bytes.size() / dtype_bytes(claim.values.dtype));
  convert_to_f32(claim.values.dtype, claim.values.bytes.data(), values);
  return values;
}

bool is_right(const Claim& claim) {
  for (const Tensor* tensor : {&claim.values, &claim.bitmask, &claim.shape})
    if (!tensor->present) return false;
  if (claim.dense_too || claim.shape.dtype != DType::i32 || claim.shape.shape != std::vector<int64_t>{5}) return false;
  const int64_t version = claim.record(0), kept = claim.record(1), group = claim.record(2);
  if (version < 1 || version > 2 || kept < 1 || kept >= group || group > 32) return false;
  if (claim.record(3) != claim.out || claim.record(4) != claim.in || claim.out < 0 || claim.in < 0) return false;
  if (version == 1 && claim.in % group != 0) return false;
  const int64_t per_row = claim.in / group * kept + kept_of(kept, group, claim.in % group);
  if (claim.values.shape != std::vector<int64_t>{claim.out, per_row}) return false;
  if (claim.bitmask.shape != std::vector<int64_t>{claim.out, (claim.in + 7) / 8}) return false;
  if (claim.bitmask.dtype != DType::u8 || !is_weight_dtype(claim.values.dtype)) return false;
  const std::vector<float> values = values_of(claim);
  return bits_are_right(claim) && std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

std::vector<float> dense_of(const Claim& claim) {
  const std::vector<float> values = values_of(claim);
  std::vector<float> dense(static_cast<size_t>(claim.out * claim.in));
  size_t next = 0;
  for (int64_t row = 0; row < claim.out; ++row)
    for (int64_t column = 0; column < claim.in; ++column)
      if (claim.bit(row, column)) dense[row * claim.in + column] = values[next++];
  return dense;
}

void check_products(const WeightView& weight, const std::vector<float>& dense, int64_t out, int64_t in,
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

void check_view(const Claim& claim, const NmView& view) {
  const std::vector<float> dense = dense_of(claim);
  std::vector<std::byte> stored(dense.size() * dtype_bytes(view.dtype));
  convert_from_f32(view.dtype, dense, stored.data());
  if (unpack_nm(view) != stored) fail("unpack_nm: other values than the tensors have");
  if (claim.out == 0 || claim.in == 0) return;  // no model has such a linear
  std::vector<float> row(static_cast<size_t>(claim.in));
  const auto check_row = [&](const char* how, int64_t index) {
    if (!std::equal(row.begin(), row.end(), dense.begin() + index * claim.in))
      fail("{}: row {}: other values than the tensors have", how, index);
  };
  for (int64_t r = 0; r < claim.out; ++r) {
    unpack_nm_rows_f32(view, r, 1, {row.data(), 1, claim.in});
    check_row("unpack_nm_rows_f32", r);
    for (const RowKernels* kernels : usable_tables<RowKernels>()) {
      kernels->expand_bits(bit_rows(view), r, row.data());
      check_row(kernels->isa, r);
    }
  }
  const bool rounded_x = current_isa() == Isa::avx512_bf16 && view.dtype == DType::bf16;
  check_products(view, dense, claim.out, claim.in, rounded_x);
  if (!fits_tiles(view)) return;
  const NmTiles tiles = make_nm_tiles(view);
  for (int64_t r = 0; r < claim.out; ++r) {
    nm_tiles_rows_f32(tiles.view(), r, 1, MatrixView<float>(row.data(), 1, claim.in));
    check_row("nm_tiles_rows_f32", r);
  }
  if (runs_in_tiles(view)) check_products(tiles.view(), dense, claim.out, claim.in, rounded_x);
}

void run(ByteSource source) {
  Claim claim = valid_claim(source);
  for (int edits = 0; edits < 8 && !source.empty(); ++edits) edit(claim, source);

  TensorStore store;
  std::vector<ExactBytes> owned;
  owned.reserve(4);
  for (const Tensor* tensor : {&claim.values, &claim.bitmask, &claim.shape}) {
    if (!tensor->present) continue;
    owned.emplace_back(tensor->bytes);
    if (!store.add_view({tensor->name, tensor->dtype, tensor->shape, owned.back().bytes()}).ok()) return;
  }
  if (claim.dense_too && !store.add_owned("w.weight", DType::f32, {1}, std::vector<std::byte>(4)).ok()) return;

  const Result<NmView> loaded = load_nm(store, "w", claim.out, claim.in);
  const bool right = is_right(claim);
  if (loaded.ok() && !right) fail("load_nm accepted what docs/formats/nm.md does not allow");
  if (!loaded.ok() && right) fail("load_nm refused a valid matrix: {}", loaded.status().message());
  if (loaded.ok()) check_view(claim, loaded.value());
}

}  // namespace
}  // namespace esparse::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  esparse::fuzz::run(esparse::fuzz::ByteSource({data, size}));
  return 0;
}
