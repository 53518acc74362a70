#include "sparse/nm_storage.h"

#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "io/safetensors_writer.h"
#include "sparse/nm_support.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

constexpr NmPattern k24{2, 4};
const std::string kPrefix = "model.layers.0.mlp.up_proj";

// The three tensors of a good 2:4 bf16 matrix [3, 12], each of which a test may spoil.
struct Parts {
  NmMatrix packed = must_pack(k24, DType::bf16, random_nm_weights(k24, 3, 12, 5), 3, 12);
  DType values_dtype = DType::bf16;
  DType bitmask_dtype = DType::u8;
  DType shape_dtype = DType::i32;
  std::vector<int64_t> values_shape = {3, 6};
  std::vector<int64_t> bitmask_shape = {3, 2};
  std::vector<int32_t> record = {1, 2, 4, 3, 12};

  Result<NmView> load() {
    TensorStore store;
    const auto mask = std::as_bytes(std::span(packed.bitmask));
    const auto shape = std::as_bytes(std::span(record));
    EXPECT_OK(store.add_owned(kPrefix + ".weight.nm_values", values_dtype, values_shape, packed.values));
    EXPECT_OK(
        store.add_owned(kPrefix + ".weight.nm_bitmask", bitmask_dtype, bitmask_shape, {mask.begin(), mask.end()}));
    EXPECT_OK(store.add_owned(kPrefix + ".weight.nm_shape", shape_dtype, {static_cast<int64_t>(record.size())},
                              {shape.begin(), shape.end()}));
    EXPECT_TRUE(has_nm(store, kPrefix));
    return load_nm(store, kPrefix, 3, 12);  // the view dies with the store: tests look at the status only
  }
};

TEST(NmStorage, GoodPartsLoad) { EXPECT_OK(Parts().load()); }

// The same shapes hold a 4:8 matrix [3, 12]: of its tail of four columns two are kept.
Parts ragged_parts() {
  Parts parts;
  parts.packed = must_pack({4, 8}, DType::bf16, random_nm_weights({4, 8}, 3, 12, 5), 3, 12);
  parts.record = {2, 4, 8, 3, 12};
  return parts;
}

TEST(NmStorage, VersionTwoLoadsWithAndWithoutATail) {
  EXPECT_OK(ragged_parts().load());
  Parts whole;
  whole.record[0] = 2;
  EXPECT_OK(whole.load());
}

TEST(NmStorage, RoundTripThroughAFile) {
  const TempDir directory;
  const NmMatrix first = must_pack(k24, DType::bf16, random_nm_weights(k24, 7, 20, 1), 7, 20);
  const NmMatrix second = must_pack({3, 8}, DType::f32, random_nm_weights({3, 8}, 2, 24, 2), 2, 24);
  NmShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_nm_tensors(first.view(), "a", records, tensors);
  append_nm_tensors(second.view(), "b.c", records, tensors);
  const NmMatrix third = must_pack({4, 8}, DType::f16, random_nm_weights({4, 8}, 5, 43, 3), 5, 43);
  append_nm_tensors(third.view(), "ragged", records, tensors);
  const auto moved = std::move(records);  // moving the records keeps the tensors valid
  ASSERT_EQ(tensors.size(), 9u);
  ASSERT_OK(write_safetensors(directory / "model.safetensors", tensors, {}));

  const auto store = TensorStore::open_file(directory / "model.safetensors");
  ASSERT_OK(store);
  EXPECT_TRUE(has_nm(*store, "a"));
  EXPECT_TRUE(has_nm(*store, "b.c"));
  EXPECT_FALSE(has_nm(*store, "b"));
  const auto a = load_nm(*store, "a", 7, 20);
  ASSERT_OK(a);
  EXPECT_EQ(a->pattern, k24);
  EXPECT_EQ(a->dtype, DType::bf16);
  EXPECT_EQ(unpack_nm(*a), unpack_nm(first.view()));
  const auto b = load_nm(*store, "b.c", 2, 24);
  ASSERT_OK(b);
  EXPECT_EQ(b->pattern, (NmPattern{3, 8}));
  EXPECT_EQ(unpack_nm(*b), unpack_nm(second.view()));
  const auto c = load_nm(*store, "ragged", 5, 43);
  ASSERT_OK(c);
  EXPECT_EQ(c->pattern, (NmPattern{4, 8}));
  EXPECT_EQ(unpack_nm(*c), unpack_nm(third.view()));
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

// Section 3 of docs/formats/nm.md, byte for byte.
TEST(NmStorage, ExampleOfTheFormatPage) {
  const std::vector<float> weight = {0, 1, 0, -2, 0.5f, 0, 0,  3, 0, 0,    0, 0,  //
                                     4, 0, 0, 0,  0,    0, -1, 8, 0, 1.5f, 0, 0};
  const NmMatrix packed = must_pack(k24, DType::bf16, weight, 2, 12);
  NmShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_nm_tensors(packed.view(), "p", records, tensors);
  EXPECT_EQ(tensors[0].name, "p.weight.nm_values");
  EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(hex(tensors[0].data), "803f00c0003f4040000000008040000080bf00410000c03f");
  EXPECT_EQ(tensors[1].name, "p.weight.nm_bitmask");
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(hex(tensors[1].data), "9a03c303");
  EXPECT_EQ(tensors[2].name, "p.weight.nm_shape");
  EXPECT_EQ(hex(tensors[2].data),
            "01000000"
            "02000000"
            "04000000"
            "02000000"
            "0c000000");
}

// The page's example with a tail, byte for byte.
TEST(NmStorage, RaggedExampleOfTheFormatPage) {
  const std::vector<float> weight = {0, 1, 0, -2, 0, 0, 3,  //
                                     4, 0, 0, 0,  8, 0, 0};
  const NmMatrix packed = must_pack(k24, DType::bf16, weight, 2, 7);
  NmShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_nm_tensors(packed.view(), "p", records, tensors);
  EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(hex(tensors[0].data),
            "803f00c000004040"
            "8040000000410000");
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(hex(tensors[1].data), "5a33");
  EXPECT_EQ(hex(tensors[2].data),
            "02000000"
            "02000000"
            "04000000"
            "02000000"
            "07000000");
}

TEST(NmStorage, MissingTensorsAreNamed) {
  TensorStore store;
  EXPECT_FALSE(has_nm(store, kPrefix));
  EXPECT_FAILURE(load_nm(store, kPrefix, 3, 12), StatusKind::not_found, kPrefix + ".weight.nm_shape");
  const std::vector<std::byte> bytes(6);
  ASSERT_OK(store.add_owned(kPrefix + ".weight.nm_bitmask", DType::u8, {3, 2}, bytes));
  EXPECT_TRUE(has_nm(store, kPrefix));  // half of it is there: loading must complain, not pass over it
  EXPECT_FAILURE(load_nm(store, kPrefix, 3, 12), StatusKind::not_found, "nm_shape");
  const std::vector<int32_t> record = {1, 2, 4, 3, 12};
  const auto shape = std::as_bytes(std::span(record));
  ASSERT_OK(store.add_owned(kPrefix + ".weight.nm_shape", DType::i32, {5}, {shape.begin(), shape.end()}));
  EXPECT_FAILURE(load_nm(store, kPrefix, 3, 12), StatusKind::not_found, "nm_values");
}

TEST(NmStorage, RefusesDenseBesidePacked) {
  TensorStore store;
  ASSERT_OK(store.add_owned(kPrefix + ".weight", DType::f32, {0}, {}));
  EXPECT_FAILURE(load_nm(store, kPrefix, 3, 12), StatusKind::corruption, "got both");
}

TEST(NmStorage, RefusesUnknownVersions) {
  for (int32_t version : {0, 3, -1, std::numeric_limits<int32_t>::max()}) {
    Parts parts;
    parts.record[0] = version;
    EXPECT_FAILURE(parts.load(), StatusKind::unsupported, "nm_shape\": expected format version 1 to 2");
  }
}

TEST(NmStorage, RefusesPatternsOutOfRange) {
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  for (const auto& [kept, group] :
       {std::pair{0, 4}, {4, 4}, {5, 4}, {-2, 4}, {2, 0}, {2, -4}, {1, 1}, {2, 33}, {2, kMax}, {kMin, kMax}}) {
    Parts parts;
    parts.record[1] = kept;
    parts.record[2] = group;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "nm_shape\": expected N:M with 1 <= N < M <= 32");
  }
}

TEST(NmStorage, RefusesShapesThatDiffer) {
  for (const auto& [out, in] : {std::pair{4, 12}, {3, 16}, {12, 3}, {-3, 12}, {3, -12}, {0, 0}}) {
    Parts parts;
    parts.record[3] = out;
    parts.record[4] = in;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "nm_shape\": expected the shape [3, 12]");
  }
}

// Before version 2 there were whole groups only; such a record is damaged, not new.
TEST(NmStorage, RefusesATailInVersionOne) {
  Parts parts = ragged_parts();
  parts.record[0] = 1;
  EXPECT_FAILURE(parts.load(), StatusKind::corruption, "in_features 12: expected a multiple of 8 in format version 1");
}

TEST(NmStorage, RefusesWrongTypesAndSizes) {
  Parts shape_type;
  shape_type.shape_dtype = DType::u32;
  EXPECT_FAILURE(shape_type.load(), StatusKind::corruption, "nm_shape\": expected I32, got U32");
  Parts shape_size;
  shape_size.record.push_back(0);
  EXPECT_FAILURE(shape_size.load(), StatusKind::corruption, "nm_shape");
  Parts values_type;
  values_type.values_dtype = DType::i16;
  EXPECT_FAILURE(values_type.load(), StatusKind::unsupported, "nm_values\": expected F32, F16 or BF16, got I16");
  Parts values_shape;
  values_shape.values_shape = {6, 3};
  EXPECT_FAILURE(values_shape.load(), StatusKind::corruption, "nm_values");
  Parts bitmask_type;
  bitmask_type.bitmask_dtype = DType::i8;
  EXPECT_FAILURE(bitmask_type.load(), StatusKind::corruption, "nm_bitmask\": expected U8, got I8");
  Parts bitmask_shape;
  bitmask_shape.bitmask_shape = {2, 3};
  EXPECT_FAILURE(bitmask_shape.load(), StatusKind::corruption, "nm_bitmask");
  Parts short_bitmask;
  short_bitmask.bitmask_shape = {3, 1};
  short_bitmask.packed.bitmask.resize(3);
  EXPECT_FAILURE(short_bitmask.load(), StatusKind::corruption, "nm_bitmask");
}

TEST(NmStorage, RefusesWrongContents) {
  Parts bits;
  bits.packed.bitmask[2] ^= 1;
  EXPECT_FAILURE(bits.load(), StatusKind::corruption,
                 kPrefix + ".weight.nm_*\": row 1, group 0 (columns 0..3): expected 2 bits");
  Parts pad;
  pad.packed.bitmask[5] |= 0x80;
  EXPECT_FAILURE(pad.load(), StatusKind::corruption, "row 2: expected zero pad bits");
  Parts too_many = ragged_parts();
  too_many.packed.bitmask[3] = 0x07;
  EXPECT_FAILURE(too_many.load(), StatusKind::corruption, "row 1, group 1 (columns 8..11): expected 2 bits set");
  Parts too_few = ragged_parts();
  too_few.packed.bitmask[5] = 0x08;
  EXPECT_FAILURE(too_few.load(), StatusKind::corruption, "row 2, group 1 (columns 8..11): expected 2 bits set");
  Parts pad_of_a_tail = ragged_parts();
  pad_of_a_tail.packed.bitmask[1] |= 0x10;
  EXPECT_FAILURE(pad_of_a_tail.load(), StatusKind::corruption, "row 0: expected zero pad bits");
  Parts nan;
  nan.packed.values[1] = std::byte{0x7f};
  nan.packed.values[0] = std::byte{0xc0};
  EXPECT_FAILURE(nan.load(), StatusKind::corruption, "row 0: expected finite values");
}

}  // namespace
}  // namespace esparse
