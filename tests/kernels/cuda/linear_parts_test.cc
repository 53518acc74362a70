// Other forms of weights against what docs/formats/gpu-tiles.md says, read byte by byte.
#include "kernels/cuda/linear_parts.h"

#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/test_backend.h"
#include "kernels/cuda/tile_layout.h"
#include "sparse/nm_matrix.h"

namespace esparse::cuda {
namespace {

// Random N:M rows of bf16 whose values are all different from zero.
NmMatrix random_nm(NmPattern pattern, int64_t rows, int64_t columns, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> value(1, 0x7f00);
  std::vector<uint16_t> dense(static_cast<size_t>(rows * columns));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t first = 0; first < columns; first += pattern.group) {
      const int64_t group = std::min<int64_t>(pattern.group, columns - first);
      std::vector<int64_t> places(static_cast<size_t>(group));
      for (int64_t i = 0; i < group; ++i) places[static_cast<size_t>(i)] = first + i;
      std::shuffle(places.begin(), places.end(), random);
      places.resize(static_cast<size_t>(pattern.kept_in(group)));
      for (const int64_t place : places)
        dense[static_cast<size_t>(row * columns + place)] = static_cast<uint16_t>(value(random));
    }
  return std::move(pack_nm(pattern, DType::bf16, std::as_bytes(std::span(dense)), rows, columns)).value();
}

// Packed rows on the device.
struct DeviceRows {
  TestArray<std::byte> values;
  TestArray<uint8_t> bitmask;
  BitRows rows;

  explicit DeviceRows(const NmMatrix& matrix) : values(matrix.values), bitmask(matrix.bitmask) {
    rows = {reinterpret_cast<const uint16_t*>(values.data()),
            bitmask.data(),
            nullptr,
            matrix.view().kept_per_row(),
            matrix.out_features,
            matrix.in_features};
  }
};

// Element (row, column) of tiles, from the page's formulas.
uint16_t element(const std::vector<uint8_t>& tiles, TileLayout layout, int64_t row, int64_t column) {
  const int64_t panel_bytes = 512 + 8 * 512;
  const int64_t start = row / 16 * layout.row_block_bytes() + column / 256 * panel_bytes;
  const int64_t g = row % 8, half = row % 16 / 8, fragment = column % 256 / 32, group = column % 32 / 4;
  auto word = [&](int64_t offset) {
    uint32_t value;
    std::memcpy(&value, tiles.data() + offset, 4);
    return value;
  };
  const uint32_t metadata = word(start + (4 * g + fragment % 2 * 2 + group / 4) * 16 + fragment / 2 * 4);
  const uint32_t code = metadata >> (16 * half + 4 * (group % 4)) & 15;
  EXPECT_LT(code & 3, code >> 2);
  const uint32_t pair = word(start + 512 + fragment * 512 + (4 * g + group % 4) * 16 + (half + group / 4 * 2) * 4);
  if ((code & 3) == column % 4) return static_cast<uint16_t>(pair);
  return (code >> 2) == column % 4 ? static_cast<uint16_t>(pair >> 16) : uint16_t{0};
}

TEST(GpuTiles, SizesAreNineBitsAWeight) {
  EXPECT_EQ((TileLayout{4096, 4096}).bytes(), 4096 * 4096 * 9 / 8);
  EXPECT_EQ((TileLayout{16, 64}).bytes(), 512 + 1024);
  EXPECT_EQ((TileLayout{17, 320}).bytes(), 2 * (2 * 512 + 10 * 512));
}

TEST(GpuTiles, HoldEveryWeightWhereThePageSaysAndExpandAgain) {
  for (const NmPattern pattern : {NmPattern{2, 4}, NmPattern{1, 2}})
    for (const int64_t rows : {1, 15, 16, 17, 100})
      for (const int64_t columns : {1, 2, 3, 4, 31, 32, 64, 100, 200, 256, 300, 513}) {
        const NmMatrix packed = random_nm(pattern, rows, columns, static_cast<uint32_t>(rows * 1000 + columns));
        const TileLayout layout{rows, columns};
        const DeviceRows source(packed);
        const TestArray<uint8_t> on_device(static_cast<size_t>(layout.bytes()));
        ASSERT_TRUE(launched(test_backend().linear_parts->make_tiles({source.rows, on_device.data()}, test_stream())));
        const std::vector<uint8_t> tiles = on_device.values();
        const std::vector<std::byte> bytes = unpack_nm(packed.view());
        std::vector<uint16_t> dense(static_cast<size_t>(rows * columns));
        std::memcpy(dense.data(), bytes.data(), bytes.size());
        for (int64_t row = 0; row < layout.row_blocks() * 16; ++row)
          for (int64_t column = 0; column < layout.fragments() * 32; ++column)
            ASSERT_EQ(element(tiles, layout, row, column),
                      row < rows && column < columns ? dense[static_cast<size_t>(row * columns + column)] : 0)
                << pattern.text() << " " << rows << " x " << columns << " at " << row << ", " << column;
        const int64_t first = rows > 16 ? 16 : 0, stride = columns + 5;
        const TestArray<uint16_t> target(static_cast<size_t>((rows - first) * stride));
        const ExpandTilesArgs args{on_device.data(), columns, first, rows - first, target.data(), stride};
        ASSERT_TRUE(launched(test_backend().linear_parts->expand_tiles(args, test_stream())));
        const std::vector<uint16_t> expanded = target.values();
        for (int64_t row = first; row < rows; ++row)
          for (int64_t column = 0; column < stride; ++column)
            ASSERT_EQ(expanded[static_cast<size_t>((row - first) * stride + column)],
                      column < columns ? dense[static_cast<size_t>(row * columns + column)] : 0xffff);
      }
}

// Section 3 of the page.
TEST(GpuTiles, ExampleOfThePage) {
  std::vector<uint16_t> dense(16 * 64);
  for (size_t i = 0; i < dense.size(); ++i) dense[i] = i % 4 == 1 ? 0x3f80 : i % 4 == 3 ? 0x4000 : 0;
  const auto packed = pack_nm({2, 4}, DType::bf16, std::as_bytes(std::span(dense)), 16, 64);
  const DeviceRows source(*packed);
  const TestArray<uint32_t> tiles(1536 / 4);
  ASSERT_TRUE(launched(
      test_backend().linear_parts->make_tiles({source.rows, reinterpret_cast<uint8_t*>(tiles.data())}, test_stream())));
  const std::vector<uint32_t> words = tiles.values();
  for (size_t i = 0; i < words.size(); ++i)
    EXPECT_EQ(words[i], i >= 128 ? 0x40003f80u : i % 4 == 0 ? 0xddddddddu : 0x44444444u) << i;
}

TEST(BitRows, ExpandToTheDenseMatrix) {
  for (const NmPattern pattern : {NmPattern{4, 8}, NmPattern{6, 8}, NmPattern{1, 4}, NmPattern{3, 7}})
    for (const int64_t columns : {1, 31, 32, 64, 100, 200}) {
      const int64_t rows = 17, first = 3;
      const NmMatrix packed = random_nm(pattern, rows, columns, static_cast<uint32_t>(columns));
      const std::vector<std::byte> bytes = unpack_nm(packed.view());
      const DeviceRows source(packed);
      std::vector<int64_t> starts;
      for (int64_t row = 0; row <= rows; ++row) starts.push_back(row * source.rows.kept_per_row);
      const TestArray<int64_t> row_offsets(starts);
      for (const bool offsets : {false, true}) {
        BitRows bits = source.rows;
        if (offsets) bits.row_offsets = row_offsets.data(), bits.kept_per_row = 0;
        const TestArray<uint16_t> target(static_cast<size_t>((rows - first) * columns));
        ASSERT_TRUE(launched(test_backend().linear_parts->expand_bits(
            {bits, first, rows - first, target.data(), columns}, test_stream())));
        const std::vector<uint16_t> expanded = target.values();
        EXPECT_EQ(std::memcmp(expanded.data(), bytes.data() + first * columns * 2, expanded.size() * 2), 0)
            << pattern.text() << " " << columns;
      }
    }
}

}  // namespace
}  // namespace esparse::cuda
