#include "sparse/inventory.h"

#include <gtest/gtest.h>

#include "sparse/bitmap_storage.h"
#include "sparse/bitmap_support.h"
#include "sparse/nm_storage.h"
#include "sparse/nm_support.h"
#include "sparse/spense_storage.h"
#include "sparse/spense_support.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// 4:8 on 21 columns: two groups keep 4 each, the tail of five keeps ceil(4 * 5 / 8) = 3; 11 values of two bytes and 3
// bytes of bits a row.
TEST(Inventory, CountsARaggedMatrix) {
  const NmMatrix packed = must_pack({4, 8}, DType::bf16, random_nm_weights({4, 8}, 6, 21, 1), 6, 21);
  NmShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_nm_tensors(packed.view(), "p", records, tensors);
  TensorStore store;
  for (const TensorInfo& tensor : tensors) ASSERT_OK(store.add_view(tensor));
  const auto inventory = take_inventory(store);
  ASSERT_OK(inventory);
  ASSERT_EQ(inventory->entries.size(), 1u);
  const InventoryEntry& entry = inventory->entries[0];
  EXPECT_EQ(entry.name, "p.weight");
  EXPECT_EQ(entry.shape, (std::vector<int64_t>{6, 21}));
  EXPECT_EQ(entry.format, "4:8 BF16");
  EXPECT_TRUE(entry.packed);
  EXPECT_EQ(entry.bytes_dense, 6 * 21 * 2);
  EXPECT_EQ(entry.bytes_now, 6 * (11 * 2 + 3));
  EXPECT_DOUBLE_EQ(entry.density, 11.0 / 21.0);
  EXPECT_EQ(inventory->elements, 6 * 21);
  EXPECT_EQ(inventory->nonzero, 6 * 11);
  EXPECT_EQ(inventory->bytes_now, entry.bytes_now);
}

// Five kept values of 27; rows of nine columns have two bytes of bits.
TEST(Inventory, CountsABitmap) {
  std::vector<float> weight(3 * 9);
  for (int index : {0, 8, 10, 11, 20}) weight[index] = 1.0f;
  const BitmapMatrix packed = must_pack_bitmap(DType::bf16, weight, 3, 9);
  BitmapShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_bitmap_tensors(packed.view(), "p", records, tensors);
  TensorStore store;
  for (const TensorInfo& tensor : tensors) ASSERT_OK(store.add_view(tensor));
  const auto inventory = take_inventory(store);
  ASSERT_OK(inventory);
  ASSERT_EQ(inventory->entries.size(), 1u);
  const InventoryEntry& entry = inventory->entries[0];
  EXPECT_EQ(entry.name, "p.weight");
  EXPECT_EQ(entry.shape, (std::vector<int64_t>{3, 9}));
  EXPECT_EQ(entry.format, "bitmap BF16");
  EXPECT_TRUE(entry.packed);
  EXPECT_EQ(entry.bytes_dense, 3 * 9 * 2);
  EXPECT_EQ(entry.bytes_now, 5 * 2 + 3 * 2);
  EXPECT_DOUBLE_EQ(entry.density, 5.0 / 27.0);
}

// 6 x 20 with 4 dense columns: 16 columns at 2:4 keep 8 values of two bytes and have two bytes of bits.
TEST(Inventory, CountsBothRegionsOfSpense) {
  const SpenseLayout layout{SpenseSplit::in, {2, 4}, 4};
  const SpenseMatrix packed = must_pack_spense(layout, DType::bf16, random_spense_weights(layout, 6, 20, 1), 6, 20);
  SpenseShapeRecords records;
  std::vector<TensorInfo> tensors;
  append_spense_tensors(packed.view(), "p", records, tensors);
  TensorStore store;
  for (const TensorInfo& tensor : tensors) ASSERT_OK(store.add_view(tensor));
  const auto inventory = take_inventory(store);
  ASSERT_OK(inventory);
  ASSERT_EQ(inventory->entries.size(), 1u);
  const InventoryEntry& entry = inventory->entries[0];
  EXPECT_EQ(entry.name, "p.weight");
  EXPECT_EQ(entry.shape, (std::vector<int64_t>{6, 20}));
  EXPECT_EQ(entry.format, "spense 2:4 + 4 dense columns BF16");
  EXPECT_TRUE(entry.packed);
  EXPECT_EQ(entry.bytes_dense, 6 * 20 * 2);
  EXPECT_EQ(entry.bytes_now, 6 * (8 * 2 + 2 + 4 * 2));
  EXPECT_DOUBLE_EQ(entry.density, 12.0 / 20.0);
}

}  // namespace
}  // namespace esparse
