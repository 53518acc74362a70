#include "sparse/bitmap_storage.h"

#include <limits>

#include <gtest/gtest.h>

#include "io/safetensors_writer.h"
#include "sparse/bitmap_support.h"
#include "sparse/nm_storage.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

const std::string kPrefix = "model.layers.0.mlp.up_proj";

// The three tensors of a good bf16 matrix [3, 12] with 20 values, each of which a test may spoil.
struct Parts {
  BitmapMatrix packed = must_pack_bitmap(DType::bf16, weights(), 3, 12);
  DType values_dtype = DType::bf16;
  DType bitmask_dtype = DType::u8;
  DType shape_dtype = DType::i32;
  std::vector<int64_t> values_shape = {20};
  std::vector<int64_t> bitmask_shape = {3, 2};
  std::vector<int32_t> record = {1, 3, 12};
  std::string extra;  // one more tensor, F32 [0]

  // Row 0 keeps all twelve, rows 1 and 2 their first four.
  static std::vector<float> weights() {
    std::vector<float> weight(36, 1.0f);
    for (int row : {1, 2}) std::fill_n(weight.begin() + row * 12 + 4, 8, 0.0f);
    return weight;
  }
  Result<LoadedBitmap> load() {
    TensorStore store;
    const auto mask = std::as_bytes(std::span(packed.bitmask));
    const auto shape = std::as_bytes(std::span(record));
    EXPECT_OK(store.add_owned(kPrefix + ".weight.bitmap_values", values_dtype, values_shape, packed.values));
    EXPECT_OK(
        store.add_owned(kPrefix + ".weight.bitmap_bitmask", bitmask_dtype, bitmask_shape, {mask.begin(), mask.end()}));
    EXPECT_OK(store.add_owned(kPrefix + ".weight.bitmap_shape", shape_dtype, {static_cast<int64_t>(record.size())},
                              {shape.begin(), shape.end()}));
    if (!extra.empty()) {
      EXPECT_OK(store.add_owned(extra, DType::f32, {0}, {}));
    }
    EXPECT_TRUE(has_bitmap(store, kPrefix));
    return load_bitmap(store, kPrefix, 3, 12);  // the view dies with the store: tests look at the status only
  }
};

TEST(BitmapStorage, GoodPartsLoad) { EXPECT_OK(Parts().load()); }

TEST(BitmapStorage, RoundTripThroughAFile) {
  const TempDir directory;
  const BitmapMatrix first = must_pack_bitmap(DType::bf16, random_bitmap_weights(0.5, 7, 21, 1), 7, 21);
  const BitmapMatrix second = must_pack_bitmap(DType::f32, random_bitmap_weights(0.1, 2, 24, 2), 2, 24);
  const BitmapMatrix empty = must_pack_bitmap(DType::f16, std::vector<float>(5 * 3), 5, 3);
  BitmapShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_bitmap_tensors(first.view(), "a", records, tensors);
  append_bitmap_tensors(second.view(), "b.c", records, tensors);
  append_bitmap_tensors(empty.view(), "empty", records, tensors);
  const auto moved = std::move(records);  // moving the records keeps the tensors valid
  ASSERT_EQ(tensors.size(), 9u);
  ASSERT_OK(write_safetensors(directory / "model.safetensors", tensors, {}));

  const auto store = TensorStore::open_file(directory / "model.safetensors");
  ASSERT_OK(store);
  EXPECT_TRUE(has_bitmap(*store, "b.c"));
  EXPECT_FALSE(has_bitmap(*store, "b"));
  for (const auto& [prefix, packed] :
       {std::pair<std::string, const BitmapMatrix*>{"a", &first}, {"b.c", &second}, {"empty", &empty}}) {
    auto loaded = load_bitmap(*store, prefix, packed->out_features, packed->in_features);
    ASSERT_OK(loaded);
    const LoadedBitmap kept = std::move(loaded).value();  // moving keeps the view valid
    EXPECT_EQ(kept.view.dtype, packed->dtype);
    EXPECT_EQ(kept.row_offsets, packed->row_offsets);
    EXPECT_EQ(unpack_bitmap(kept.view), unpack_bitmap(packed->view()));
    const auto claimed = load_bitmap(*store, prefix);
    ASSERT_OK(claimed);
    EXPECT_EQ(claimed->view.out_features, packed->out_features);
    EXPECT_EQ(claimed->view.in_features, packed->in_features);
  }
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

// Section 3 of docs/formats/bitmap.md, byte for byte.
TEST(BitmapStorage, ExampleOfTheFormatPage) {
  const std::vector<float> weight = {0, 1, 0, -2, 0.5f, 0, 0, 3, 0, 0,  //
                                     0, 0, 0, 0,  0,    0, 0, 0, 0, 0,  //
                                     4, 0, 0, 0,  0,    0, 0, 8, 0, 1.5f};
  const BitmapMatrix packed = must_pack_bitmap(DType::bf16, weight, 3, 10);
  BitmapShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_bitmap_tensors(packed.view(), "p", records, tensors);
  EXPECT_EQ(tensors[0].name, "p.weight.bitmap_values");
  EXPECT_EQ(tensors[0].shape, std::vector<int64_t>{7});
  EXPECT_EQ(hex(tensors[0].data), "803f00c0003f404080400041c03f");
  EXPECT_EQ(tensors[1].name, "p.weight.bitmap_bitmask");
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(hex(tensors[1].data), "9a0000008102");
  EXPECT_EQ(tensors[2].name, "p.weight.bitmap_shape");
  EXPECT_EQ(hex(tensors[2].data),
            "01000000"
            "03000000"
            "0a000000");
}

TEST(BitmapStorage, MissingTensorsAreNamed) {
  TensorStore store;
  EXPECT_FALSE(has_bitmap(store, kPrefix));
  EXPECT_FAILURE(load_bitmap(store, kPrefix, 3, 12), StatusKind::not_found, kPrefix + ".weight.bitmap_shape");
  const std::vector<std::byte> bytes(6);
  ASSERT_OK(store.add_owned(kPrefix + ".weight.bitmap_bitmask", DType::u8, {3, 2}, bytes));
  EXPECT_TRUE(has_bitmap(store, kPrefix));  // half of it is there: loading must complain, not pass over it
  EXPECT_FAILURE(load_bitmap(store, kPrefix, 3, 12), StatusKind::not_found, "bitmap_shape");
  const std::vector<int32_t> record = {1, 3, 12};
  const auto shape = std::as_bytes(std::span(record));
  ASSERT_OK(store.add_owned(kPrefix + ".weight.bitmap_shape", DType::i32, {3}, {shape.begin(), shape.end()}));
  EXPECT_FAILURE(load_bitmap(store, kPrefix, 3, 12), StatusKind::not_found, "bitmap_values");
}

TEST(BitmapStorage, RefusesAnotherFormBeside) {
  for (const char* other : {".weight", ".weight.nm_values", ".weight.nm_shape"}) {
    Parts parts;
    parts.extra = kPrefix + other;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "got several") << other;
  }
}

TEST(BitmapStorage, RefusesUnknownVersions) {
  for (const int32_t version : {0, 2, -1, std::numeric_limits<int32_t>::max()}) {
    Parts parts;
    parts.record[0] = version;
    EXPECT_FAILURE(parts.load(), StatusKind::unsupported, "bitmap_shape\": expected format version 1, got");
  }
}

TEST(BitmapStorage, RefusesShapesThatDiffer) {
  for (const auto& [out, in] : {std::pair{4, 12}, {3, 16}, {12, 3}, {-3, 12}, {3, -12}, {0, 0}}) {
    Parts parts;
    parts.record[1] = out;
    parts.record[2] = in;
    EXPECT_FAILURE(parts.load(), StatusKind::corruption, "bitmap_shape\": expected the shape [3, 12]");
  }
}

// Without a configuration to compare with, as the inventory loads.
TEST(BitmapStorage, RefusesClaimsOutOfRange) {
  for (const auto& [out, in] : {std::pair{-1, 12}, {3, -12}, {2147483647, 0}}) {
    TensorStore store;
    const std::vector<int32_t> record = {1, out, in};
    const auto shape = std::as_bytes(std::span(record));
    ASSERT_OK(store.add_owned("p.weight.bitmap_values", DType::f32, {0}, {}));
    ASSERT_OK(store.add_owned("p.weight.bitmap_bitmask", DType::u8, {out < 0 ? 0 : out, 0}, {}));
    ASSERT_OK(store.add_owned("p.weight.bitmap_shape", DType::i32, {3}, {shape.begin(), shape.end()}));
    EXPECT_FALSE(load_bitmap(store, "p").ok()) << out << " " << in;
  }
}

TEST(BitmapStorage, RefusesWrongTypesAndSizes) {
  Parts shape_type;
  shape_type.shape_dtype = DType::u32;
  EXPECT_FAILURE(shape_type.load(), StatusKind::corruption, "bitmap_shape\": expected I32, got U32");
  Parts shape_size;
  shape_size.record.push_back(0);
  EXPECT_FAILURE(shape_size.load(), StatusKind::corruption, "bitmap_shape");
  Parts values_type;
  values_type.values_dtype = DType::i16;
  EXPECT_FAILURE(values_type.load(), StatusKind::unsupported, "bitmap_values\": expected F32, F16 or BF16, got I16");
  Parts values_shape;
  values_shape.values_shape = {2, 10};
  EXPECT_FAILURE(values_shape.load(), StatusKind::corruption, "bitmap_values\": expected one dimension");
  Parts too_few;
  too_few.values_shape = {19};
  too_few.packed.values.resize(38);
  EXPECT_FAILURE(too_few.load(), StatusKind::corruption, "bitmap_*\": values: expected 20 of 2 bytes");
  Parts wide;
  wide.values_shape = {10};
  wide.values_dtype = DType::f32;
  EXPECT_FAILURE(wide.load(), StatusKind::corruption, "bitmap_*\": values: expected 20 of 4 bytes");
  Parts bitmask_type;
  bitmask_type.bitmask_dtype = DType::i8;
  EXPECT_FAILURE(bitmask_type.load(), StatusKind::corruption, "bitmap_bitmask\": expected U8, got I8");
  Parts bitmask_shape;
  bitmask_shape.bitmask_shape = {2, 3};
  EXPECT_FAILURE(bitmask_shape.load(), StatusKind::corruption, "bitmap_bitmask");
}

TEST(BitmapStorage, RefusesWrongContents) {
  Parts bits;
  bits.packed.bitmask[2] ^= 1;
  EXPECT_FAILURE(bits.load(), StatusKind::corruption, kPrefix + ".weight.bitmap_*\": values: expected 19 of 2 bytes");
  Parts pad;
  pad.packed.bitmask[5] |= 0x80;
  EXPECT_FAILURE(pad.load(), StatusKind::corruption, "row 2: expected zero pad bits");
  Parts nan;
  nan.packed.values[27] = std::byte{0x7f};
  nan.packed.values[26] = std::byte{0xc0};  // value 13, the second of row 1
  EXPECT_FAILURE(nan.load(), StatusKind::corruption, "row 1: expected finite values");
}

}  // namespace
}  // namespace esparse
