#include "sparse/inventory.h"

#include <gtest/gtest.h>

#include "sparse/nm_storage.h"
#include "sparse/nm_support.h"
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

}  // namespace
}  // namespace esparse
