#include "sparse/spense_storage.h"

#include <limits>

#include <gtest/gtest.h>

#include "io/safetensors_writer.h"
#include "sparse/bitmap_storage.h"
#include "sparse/spense_support.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

const std::string kPrefix = "model.layers.0.mlp.up_proj";

// The four tensors of a good weight [5, 12] with 2 dense rows or columns, each of which a test may spoil.
struct Parts {
  explicit Parts(SpenseSplit split_in = SpenseSplit::out) : split(split_in) {}

  SpenseSplit split;
  SpenseLayout layout{split, {2, 4}, 2};
  SpenseMatrix packed = must_pack_spense(layout, DType::bf16, random_spense_weights(layout, 5, 12, 5), 5, 12);
  DType values_dtype = DType::bf16, bitmask_dtype = DType::u8, dense_dtype = DType::bf16, shape_dtype = DType::i32;
  std::vector<int64_t> values_shape =
      split == SpenseSplit::out ? std::vector<int64_t>{3, 6} : std::vector<int64_t>{5, 5};
  std::vector<int64_t> bitmask_shape = {split == SpenseSplit::out ? 3 : 5, 2};
  std::vector<int64_t> dense_shape =
      split == SpenseSplit::out ? std::vector<int64_t>{2, 12} : std::vector<int64_t>{5, 2};
  std::vector<int32_t> record = {1, static_cast<int32_t>(split), 2, 4, 5, 12, 2};
  std::vector<std::string> missing;

  Status fill(TensorStore& store) const {
    const auto add = [&](const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                         std::span<const std::byte> bytes) -> Status {
      if (std::ranges::find(missing, name) != missing.end()) return {};
      return store.add_owned(kPrefix + ".weight." + name, dtype, shape, {bytes.begin(), bytes.end()});
    };
    ESPARSE_RETURN_IF_ERROR(add("spense_values", values_dtype, values_shape, packed.sparse.values));
    ESPARSE_RETURN_IF_ERROR(
        add("spense_bitmask", bitmask_dtype, bitmask_shape, std::as_bytes(std::span(packed.sparse.bitmask))));
    ESPARSE_RETURN_IF_ERROR(add("spense_dense", dense_dtype, dense_shape, packed.dense));
    return add("spense_shape", shape_dtype, {static_cast<int64_t>(record.size())}, std::as_bytes(std::span(record)));
  }
  Result<SpenseView> load() const {  // the view dies with the store: tests look at the status only
    TensorStore store;
    ESPARSE_RETURN_IF_ERROR(fill(store));
    EXPECT_TRUE(has_spense(store, kPrefix));
    return load_spense(store, kPrefix, 5, 12);
  }
};

TEST(SpenseStorage, GoodPartsLoad) {
  EXPECT_OK(Parts().load());
  EXPECT_OK(Parts(SpenseSplit::in).load());
}

TEST(SpenseStorage, RoundTripThroughAFile) {
  const TempDir directory;
  const SpenseLayout layouts[] = {{SpenseSplit::out, {2, 4}, 3}, {SpenseSplit::in, {4, 8}, 5}};
  const DType types[] = {DType::bf16, DType::f32};
  std::vector<SpenseMatrix> packed;
  SpenseShapeRecords records;
  std::vector<TensorInfo> tensors;
  for (size_t k = 0; k < 2; ++k)
    packed.push_back(must_pack_spense(layouts[k], types[k], random_spense_weights(layouts[k], 7, 43, 1), 7, 43));
  for (size_t k = 0; k < 2; ++k) append_spense_tensors(packed[k].view(), k == 0 ? "a" : "b.c", records, tensors);
  const auto moved = std::move(records);  // moving the records keeps the tensors valid
  ASSERT_EQ(tensors.size(), 8u);
  ASSERT_OK(write_safetensors(directory / "model.safetensors", tensors, {}));

  const auto store = TensorStore::open_file(directory / "model.safetensors");
  ASSERT_OK(store);
  EXPECT_FALSE(has_spense(*store, "b"));
  for (size_t k = 0; k < 2; ++k) {
    const auto loaded = load_spense(*store, k == 0 ? "a" : "b.c", 7, 43);
    ASSERT_OK(loaded);
    EXPECT_EQ(loaded->split, layouts[k].split);
    EXPECT_EQ(loaded->pattern(), layouts[k].pattern);
    EXPECT_EQ(loaded->dense_count(), layouts[k].dense);
    EXPECT_EQ(loaded->dtype, types[k]);
    EXPECT_EQ(unpack_spense(*loaded), unpack_spense(packed[k].view()));
  }
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

// Section 3 of docs/formats/spense.md, byte for byte.
TEST(SpenseStorage, ExamplesOfTheFormatPage) {
  const std::vector<float> by_rows = {0, 1, 0, -2, 4, 0, 0, 0, 0.5f, -1, 3, 8};
  const std::vector<float> by_columns = {0, 1, 0, -2, 0.5f, 3, 4, 0, 0, 0, -1, 0};
  const SpenseMatrix rows = must_pack_spense({SpenseSplit::out, {2, 4}, 1}, DType::bf16, by_rows, 3, 4);
  const SpenseMatrix columns = must_pack_spense({SpenseSplit::in, {2, 4}, 2}, DType::bf16, by_columns, 2, 6);
  SpenseShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_spense_tensors(rows.view(), "p", records, tensors);
  append_spense_tensors(columns.view(), "q", records, tensors);
  EXPECT_EQ(tensors[0].name, "p.weight.spense_values");
  EXPECT_EQ(tensors[1].name, "p.weight.spense_bitmask");
  EXPECT_EQ(tensors[2].name, "p.weight.spense_dense");
  EXPECT_EQ(tensors[3].name, "p.weight.spense_shape");
  for (const size_t at : {0, 4}) {
    EXPECT_EQ(tensors[at].shape, (std::vector<int64_t>{2, 2}));
    EXPECT_EQ(hex(tensors[at].data), "803f00c080400000");
    EXPECT_EQ(tensors[at + 1].shape, (std::vector<int64_t>{2, 1}));
    EXPECT_EQ(hex(tensors[at + 1].data), "0a03");
  }
  EXPECT_EQ(tensors[2].shape, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(hex(tensors[2].data), "003f80bf40400041");
  EXPECT_EQ(hex(tensors[3].data), "01000000000000000200000004000000030000000400000001000000");
  EXPECT_EQ(tensors[6].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(hex(tensors[6].data), "003f404080bf0000");
  EXPECT_EQ(hex(tensors[7].data), "01000000010000000200000004000000020000000600000002000000");
}

TEST(SpenseStorage, MissingTensorsAreNamed) {
  for (const char* name : {"spense_values", "spense_bitmask", "spense_dense", "spense_shape"}) {
    Parts parts;
    parts.missing = {name};
    EXPECT_FAILURE(parts.load(), StatusKind::not_found, kPrefix + ".weight." + name);
  }
  EXPECT_FALSE(has_spense(TensorStore(), kPrefix));
}

TEST(SpenseStorage, RefusesAnotherFormBesideIt) {
  for (const char* other : {".weight", ".weight.nm_values", ".weight.bitmap_bitmask"}) {
    TensorStore store;
    ASSERT_OK(Parts().fill(store));
    ASSERT_OK(store.add_owned(kPrefix + other, DType::f32, {0}, {}));
    EXPECT_FAILURE(load_spense(store, kPrefix, 5, 12), StatusKind::corruption, "got several");
  }
}

TEST(SpenseStorage, RefusesUnknownVersionsAndSplits) {
  for (const int32_t version : {0, 2, -1, std::numeric_limits<int32_t>::max()}) {
    Parts parts;
    parts.record[0] = version;
    EXPECT_FAILURE(parts.load(), StatusKind::unsupported, "spense_shape\": expected format version 1");
  }
  for (const int32_t split : {-1, 2}) {
    Parts parts;
    parts.record[1] = split;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "spense_shape\": split: expected 0 (rows) or 1 (columns)");
  }
}

TEST(SpenseStorage, RefusesPatternsShapesAndCountsOutOfRange) {
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min(), kMax = std::numeric_limits<int32_t>::max();
  for (const auto& [kept, group] : {std::pair{0, 4}, {4, 4}, {2, 33}, {-2, 4}, {kMin, kMax}}) {
    Parts parts;
    parts.record[2] = kept, parts.record[3] = group;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "spense_shape\": expected N:M with 1 <= N < M <= 32");
  }
  for (const auto& [out, in] : {std::pair{4, 12}, {5, 13}, {12, 5}, {kMax, 12}}) {
    Parts parts;
    parts.record[4] = out, parts.record[5] = in;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "spense_shape\": expected the shape [5, 12]");
  }
  for (const auto& [out, in] : {std::pair{-5, 12}, {5, -12}, {kMin, kMin}}) {
    Parts parts;
    parts.record[4] = out, parts.record[5] = in;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "spense_shape\": expected a shape without negative sizes");
  }
  for (const int32_t dense : {0, -1, 5, kMax, kMin}) {
    Parts parts;
    parts.record[6] = dense;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "spense_shape\": dense: expected 1 to 4 of 5 rows");
  }
  Parts columns(SpenseSplit::in);
  columns.record[6] = 12;
  EXPECT_FAILURE(columns.load(), StatusKind::corruption, "dense: expected 1 to 11 of 12 columns, got 12");
}

TEST(SpenseStorage, RefusesWrongTypesAndSizes) {
  Parts shape_type;
  shape_type.shape_dtype = DType::u32;
  EXPECT_FAILURE(shape_type.load(), StatusKind::corruption, "spense_shape\": expected I32, got U32");
  Parts shape_size;
  shape_size.record.push_back(0);
  EXPECT_FAILURE(shape_size.load(), StatusKind::corruption, "spense_shape");
  Parts values_type;
  values_type.values_dtype = DType::i16;
  EXPECT_FAILURE(values_type.load(), StatusKind::unsupported, "spense_values\": expected F32, F16 or BF16, got I16");
  Parts bitmask_type;
  bitmask_type.bitmask_dtype = DType::i8;
  EXPECT_FAILURE(bitmask_type.load(), StatusKind::corruption, "spense_bitmask\": expected U8, got I8");
  Parts dense_type;
  dense_type.dense_dtype = DType::f16;
  EXPECT_FAILURE(dense_type.load(), StatusKind::corruption,
                 "spense_dense\": expected BF16, the type of the kept values");
  Parts values_shape, bitmask_shape, dense_shape;
  values_shape.values_shape = {6, 3};
  EXPECT_FAILURE(values_shape.load(), StatusKind::corruption, "spense_values");
  bitmask_shape.bitmask_shape = {2, 3};
  EXPECT_FAILURE(bitmask_shape.load(), StatusKind::corruption, "spense_bitmask");
  dense_shape.dense_shape = {12, 2};
  EXPECT_FAILURE(dense_shape.load(), StatusKind::corruption, "spense_dense");
  Parts another_count(SpenseSplit::in);  // a record that speaks of other regions than the tensors
  another_count.record[6] = 4;
  EXPECT_FAILURE(another_count.load(), StatusKind::corruption, "spense_values");
}

TEST(SpenseStorage, RefusesWrongContents) {
  for (const SpenseSplit split : {SpenseSplit::out, SpenseSplit::in}) {
    Parts bits(split);
    bits.packed.sparse.bitmask[2] ^= 1;
    EXPECT_FAILURE(bits.load(), StatusKind::corruption,
                   kPrefix + ".weight.spense_*\": row 1, group 0 (columns 0..3): expected 2 bits");
    Parts pad(split);
    pad.packed.sparse.bitmask[5] |= 0x80;
    EXPECT_FAILURE(pad.load(), StatusKind::corruption, "row 2: expected zero pad bits");
    Parts kept(split);
    kept.packed.sparse.values[1] = std::byte{0x7f};
    kept.packed.sparse.values[0] = std::byte{0xc0};
    EXPECT_FAILURE(kept.load(), StatusKind::corruption, "row 0: expected finite values");
    Parts dense(split);
    dense.packed.dense[dense.packed.dense.size() - 1] = std::byte{0x7f};
    dense.packed.dense[dense.packed.dense.size() - 2] = std::byte{0x80};
    EXPECT_FAILURE(dense.load(), StatusKind::corruption,
                   kPrefix + ".weight.spense_dense\": dense region: row " + (split == SpenseSplit::out ? "1" : "4"));
  }
}

}  // namespace
}  // namespace esparse
