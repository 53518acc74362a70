#include "sparse/nm_tiles.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "sparse/nm_support.h"

namespace esparse {
namespace {

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr NmPattern k24{2, 4};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Every place of a tile is looked up by the words of docs/formats/tiles.md.
uint32_t word_at(const std::byte* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}
unsigned code_at(const NmTilesView& tiles, int64_t row, int64_t group) {
  return word_at(tiles.tile(row / 16, group / 8) + row % 16 * 4) >> (group % 8 * 4) & 15;
}
float value_at(const NmTilesView& tiles, int64_t row, int64_t group, int slot) {
  const int64_t bytes = dtype_bytes(tiles.dtype);
  const std::byte* values = tiles.tile(row / 16, group / 8) + 64 + group % 8 * 32 * bytes;
  const int64_t place = tiles.dtype == DType::bf16 ? row % 16 * 2 + slot : slot * 16 + row % 16;
  float value;
  convert_to_f32(tiles.dtype, values + place * bytes, std::span(&value, 1));
  return value;
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

// Rows [first, first + count) as f32, every element written and nothing beside them.
std::vector<float> rows_f32(const NmTilesView& tiles, int64_t first, int64_t count) {
  const int64_t stride = tiles.in_features + 3;
  std::vector<float> wide(count * stride, kNan), rows;
  nm_tiles_rows_f32(tiles, first, count, MatrixView<float>(wide.data(), count, tiles.in_features, stride));
  for (int64_t i = 0; i < count * stride; ++i) {
    if (i % stride < tiles.in_features) {
      rows.push_back(wide[i]);
    } else {
      EXPECT_TRUE(std::isnan(wide[i])) << "wrote beside the rows";
    }
  }
  return rows;
}

std::vector<float> rounded_to(DType dtype, const std::vector<float>& values) {
  std::vector<float> result(values.size());
  convert_to_f32(dtype, to_bytes(dtype, values).data(), result);
  return result;
}

// The example of docs/formats/tiles.md: one row of 2:4 in bf16, six columns.
TEST(NmTiles, WorkedExample) {
  const NmMatrix packed = must_pack(k24, DType::bf16, std::vector<float>{0, 1, 0, -2, 0, 3}, 1, 6);
  const NmTiles owner = make_nm_tiles(packed.view());
  const NmTilesView tiles = owner.view();
  ASSERT_EQ(tiles.bytes(), 576);
  std::vector<std::byte> expected(576, std::byte{0});
  // Columns 1 and 3: 1 | 3 << 2 = d. Column 5, place 1, and the spare slot at 3: d again. Then padding: 4.
  const uint32_t first_row = 0x444444dd, padding = 0x44444444;
  for (int row = 0; row < 16; ++row) std::memcpy(&expected[row * 4], row == 0 ? &first_row : &padding, 4);
  const uint32_t pair0 = 0xc0003f80, pair1 = 0x00004040;  // 1 low, -2 high; 3 low
  std::memcpy(&expected[64], &pair0, 4);
  std::memcpy(&expected[64 + 64], &pair1, 4);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), tiles.tiles));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tiles.tiles) % 64, 0u);
}

// All six patterns in every place of a tile, with the code that each must have.
TEST(NmTiles, EveryPatternHasItsCode) {
  struct Pattern {
    int first, second;
    unsigned code;
  };
  constexpr Pattern kPatterns[] = {{0, 1, 4}, {0, 2, 8}, {0, 3, 12}, {1, 2, 9}, {1, 3, 13}, {2, 3, 14}};
  const int64_t rows = 19, groups = 17, columns = 4 * groups;
  std::vector<float> weight(rows * columns);
  const auto pattern_of = [&](int64_t row, int64_t group) { return kPatterns[(row * 5 + group) % 6]; };
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t group = 0; group < groups; ++group) {
      weight[row * columns + 4 * group + pattern_of(row, group).first] = static_cast<float>(row + 1);
      weight[row * columns + 4 * group + pattern_of(row, group).second] = -static_cast<float>(group + 1);
    }
  for (const DType dtype : kWeightTypes) {
    const NmMatrix packed = must_pack(k24, dtype, weight, rows, columns);
    const NmTiles owner = make_nm_tiles(packed.view());
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < groups; ++group) {
        ASSERT_EQ(code_at(owner.view(), row, group), pattern_of(row, group).code) << row << " " << group;
        ASSERT_EQ(value_at(owner.view(), row, group, 0), static_cast<float>(row + 1)) << row << " " << group;
        ASSERT_EQ(value_at(owner.view(), row, group, 1), -static_cast<float>(group + 1)) << row << " " << group;
      }
    EXPECT_EQ(rows_f32(owner.view(), 0, rows), weight);
  }
}

// Every row count about a block, every column count about two tiles: the weights come back, and padding is padding.
TEST(NmTiles, RoundTripOfRaggedShapes) {
  for (const DType dtype : kWeightTypes)
    for (int64_t out = 1; out <= 33; ++out)
      for (int64_t in = 1; in <= 70; ++in) {
        const auto weight = rounded_to(dtype, random_nm_weights(k24, out, in, static_cast<int>(out * 100 + in)));
        const NmMatrix packed = must_pack(k24, dtype, weight, out, in);
        const NmTiles owner = make_nm_tiles(packed.view());
        const NmTilesView tiles = owner.view();
        ASSERT_EQ(tiles.bytes(), (out + 15) / 16 * ((in + 31) / 32) * (64 + 256 * dtype_bytes(dtype)));
        ASSERT_EQ(rows_f32(tiles, 0, out), weight) << out << "x" << in;
        const int64_t groups = (in + 3) / 4;
        for (int64_t row = 0; row < tiles.row_blocks() * 16; ++row)
          for (int64_t group = 0; group < tiles.tiles_per_block() * 8; ++group) {
            const unsigned code = code_at(tiles, row, group);
            ASSERT_LT(code & 3, code >> 2) << "ascending columns, row " << row << " group " << group;
            if (row < out && group < groups) continue;
            ASSERT_EQ(code, 4u) << out << "x" << in << " row " << row << " group " << group;
            for (int slot = 0; slot < 2; ++slot) ASSERT_TRUE(same_bits(value_at(tiles, row, group, slot), 0.0f));
          }
        if (in % 4 != 1 && in % 4 != 2) continue;
        for (int64_t row = 0; row < out; ++row) {
          ASSERT_EQ(code_at(tiles, row, groups - 1) >> 2, 3u) << "the spare slot of a tail reads no column of the row";
          ASSERT_TRUE(same_bits(value_at(tiles, row, groups - 1, 1), 0.0f));
        }
      }
}

TEST(NmTiles, AnyRowsAsF32) {
  const int64_t out = 53, in = 100;
  for (const DType dtype : kWeightTypes) {
    const auto weight = rounded_to(dtype, random_nm_weights(k24, out, in, 3));
    const NmMatrix packed = must_pack(k24, dtype, weight, out, in);
    const NmTiles owner = make_nm_tiles(packed.view());
    for (const int64_t first : {0, 1, 15, 16, 17, 40, 52})
      for (const int64_t count : {0, 1, 2, 16, 31}) {
        if (first + count > out) continue;
        const std::vector<float> expected(weight.begin() + first * in, weight.begin() + (first + count) * in);
        ASSERT_EQ(rows_f32(owner.view(), first, count), expected) << first << " " << count;
      }
  }
}

// A writer stores +0.0, but -0.0 is a valid value: it stays what it is. So do subnormals.
TEST(NmTiles, NegativeZeroAndSubnormalsKeepTheirBits) {
  for (const DType dtype : kWeightTypes) {
    NmMatrix packed = must_pack(k24, dtype, random_nm_weights(k24, 2, 40, 1), 2, 40);
    const std::vector<float> special = {-0.0f, 0x1p-24f};  // the second: the smallest subnormal of f16
    const int64_t bytes = dtype_bytes(dtype);
    for (const int64_t slot : {0, 3, 17, 39})
      convert_from_f32(dtype, std::span(special).first(1), &packed.values[slot * bytes]);
    for (const int64_t slot : {1, 2, 18, 38})
      convert_from_f32(dtype, std::span(special).last(1), &packed.values[slot * bytes]);
    Matrix<float> expected(2, 40);
    unpack_nm_rows_f32(packed.view(), 0, 2, expected.view());
    const NmTiles owner = make_nm_tiles(packed.view());
    const auto got = rows_f32(owner.view(), 0, 2);
    EXPECT_EQ(0, std::memcmp(got.data(), expected.data(), got.size() * sizeof(float))) << dtype_name(dtype);
    EXPECT_EQ(std::count_if(got.begin(), got.end(), [](float v) { return v == 0 && std::signbit(v); }), 4);
  }
}

// Mapped values may start at any byte. The exact sizes let the address sanitizer see a read beyond them.
TEST(NmTiles, MisalignedBytes) {
  for (const DType dtype : kWeightTypes)
    for (const int64_t in : {64, 68, 70, 95}) {
      const auto weight = rounded_to(dtype, random_nm_weights(k24, 17, in, 9));
      const NmMatrix packed = must_pack(k24, dtype, weight, 17, in);
      std::vector<std::byte> values(packed.values.size() + 1);
      std::vector<uint8_t> bitmask(packed.bitmask.size() + 1);
      std::memcpy(values.data() + 1, packed.values.data(), packed.values.size());
      std::memcpy(bitmask.data() + 1, packed.bitmask.data(), packed.bitmask.size());
      NmView view = packed.view();
      view.values = values.data() + 1;
      view.bitmask = bitmask.data() + 1;
      EXPECT_EQ(rows_f32(make_nm_tiles(view).view(), 0, 17), weight) << in;
    }
}

// Large enough for several threads to take part.
TEST(NmTiles, SameBytesForEveryThreadCount) {
  const int64_t out = 700, in = 500;
  for (const DType dtype : kWeightTypes) {
    const NmMatrix packed = must_pack(k24, dtype, random_nm_weights(k24, out, in, 4), out, in);
    set_thread_count(1);
    const NmTiles one = make_nm_tiles(packed.view());
    for (const int threads : {2, 3, 4}) {
      set_thread_count(threads);
      const NmTiles more = make_nm_tiles(packed.view());
      EXPECT_EQ(0, std::memcmp(one.view().tiles, more.view().tiles, static_cast<size_t>(one.view().bytes())))
          << threads;
    }
    set_thread_count(0);
  }
}

TEST(NmTiles, ViewsStayValidWhenMoved) {
  const NmMatrix packed = must_pack(k24, DType::bf16, random_nm_weights(k24, 20, 40, 4), 20, 40);
  NmTiles tiles = make_nm_tiles(packed.view());
  const NmTilesView before = tiles.view();
  const NmTiles moved = std::move(tiles);
  EXPECT_EQ(before.tiles, moved.view().tiles);
}

TEST(NmTiles, FitsItsPatternsWithLittlePadding) {
  const auto fits = [](NmPattern pattern, int64_t out, int64_t in) {
    return fits_tiles({pattern, DType::bf16, out, in, nullptr, nullptr});
  };
  EXPECT_TRUE(fits(k24, 16, 32));
  EXPECT_TRUE(fits(k24, 4096, 14336));
  EXPECT_TRUE(fits(k24, 300, 4096));   // 304 rows: 1.3 % more
  EXPECT_TRUE(fits(k24, 4096, 482));   // 512 columns: 30/482, just below 1/16
  EXPECT_FALSE(fits(k24, 4096, 481));  // 31/481, just above
  EXPECT_FALSE(fits(k24, 15, 32));     // one row of 16 is padding: 1/15
  EXPECT_FALSE(fits(k24, 1, 4096));
  EXPECT_FALSE(fits(k24, 0, 64));
  EXPECT_FALSE(fits(k24, 64, 0));
  for (const NmPattern other : {NmPattern{4, 8}, {1, 4}, {1, 2}, {2, 8}, {3, 4}, {6, 8}}) {
    EXPECT_TRUE(fits(other, 64, 64));
    EXPECT_FALSE(fits_tiles({other, DType::f16, 64, 64, nullptr, nullptr})) << "pairs are bf16";
  }
  for (const NmPattern other : {NmPattern{1, 8}, {3, 8}, {8, 16}, {2, 3}}) EXPECT_FALSE(fits(other, 64, 64));
}

// Every place is looked up by the words of docs/formats/tiles.md: the pairs of every pattern of eight columns.
TEST(NmTiles, EveryPatternOfEightHasItsNumberAndPairs) {
  for (const int kept : {2, 4, 6}) {
    std::vector<unsigned> masks;  // the number of a mask is its place among those with as many bits
    for (unsigned mask = 0; mask < 256; ++mask)
      if (std::popcount(mask) == kept) masks.push_back(mask);
    const int64_t rows = 18, groups = static_cast<int64_t>(masks.size()) + 1, columns = 8 * groups;
    const auto number_at = [&](int64_t row, int64_t group) { return (row * 3 + group) % std::ssize(masks); };
    std::vector<float> weight(rows * columns);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column)
        if ((masks[number_at(row, column / 8)] >> column % 8 & 1) != 0)
          weight[row * columns + column] = static_cast<float>(column % 8 + 1);
    const NmMatrix packed = must_pack({kept, 8}, DType::bf16, weight, rows, columns);
    const NmTiles owner = make_nm_tiles(packed.view());
    const NmTilesView tiles = owner.view();
    EXPECT_EQ(tiles.tile_bytes(), 64 + 64 * 2 * kept);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < groups; ++group) {
        const std::byte* tile = tiles.tile(row / 16, group / 4);
        const int64_t lane = row % 16;
        EXPECT_EQ(std::to_integer<int64_t>(tile[lane / 4 * 16 + group % 4 * 4 + lane % 4]), number_at(row, group));
        unsigned seen = 0;
        for (int pair = 0; pair < kept / 2; ++pair) {
          const uint32_t word = word_at(tile + 64 + ((group % 4 * (kept / 2) + pair) * 16 + lane) * 4);
          std::array<float, 2> values;
          convert_to_f32(DType::bf16, reinterpret_cast<const std::byte*>(&word), values);
          EXPECT_LT(values[0], values[1]) << "the lower column in the low half";
          for (const float value : values) seen |= 1u << (static_cast<unsigned>(value) - 1);
        }
        EXPECT_EQ(seen, masks[number_at(row, group)]);
      }
    EXPECT_EQ(rows_f32(tiles, 0, rows), weight);
  }
}

TEST(NmTiles, RoundTripOfRaggedEights) {
  for (const NmPattern pattern : {NmPattern{4, 8}, {6, 8}, {2, 8}, {1, 4}, {3, 4}, {1, 2}})
    for (const int64_t out : {1, 3, 16, 17, 33})
      for (int64_t in = 1; in <= 70; ++in) {
        const auto weight = rounded_to(DType::bf16, random_nm_weights(pattern, out, in, static_cast<int>(out + in)));
        const NmMatrix packed = must_pack(pattern, DType::bf16, weight, out, in);
        const NmTiles owner = make_nm_tiles(packed.view());
        ASSERT_EQ(rows_f32(owner.view(), 0, out), weight) << pattern.text() << " " << out << "x" << in;
        if (out < 3) continue;
        ASSERT_EQ(rows_f32(owner.view(), 2, 1), std::vector<float>(&weight[2 * in], &weight[2 * in] + in));
      }
}

// What the format page promises: 2:4 takes 9 bits per weight in 16 bits, 17 in 32.
TEST(NmTiles, BitsPerWeight) {
  EXPECT_EQ((NmTilesView{DType::bf16, 4096, 11008}.bytes()) * 8, 4096 * 11008 * 9);
  EXPECT_EQ((NmTilesView{DType::f32, 4096, 11008}.bytes()) * 8, 4096 * 11008 * 17);
  EXPECT_EQ((NmTilesView{DType::bf16, 4096, 11008, nullptr, {4, 8}}.bytes()) * 8, 4096 * 11008 * 9);
  EXPECT_EQ((NmTilesView{DType::bf16, 4096, 11008, nullptr, {6, 8}}.bytes()) * 8, 4096 * 11008 * 13);
}

TEST(NmTiles, EmptyMatrices) {
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{0, 8}, {8, 0}}) {
    const NmView view{k24, DType::bf16, out, in, nullptr, nullptr};
    const NmTiles owner = make_nm_tiles(view);
    EXPECT_EQ(owner.view().bytes(), 0);
    EXPECT_TRUE(rows_f32(owner.view(), 0, out).empty());
  }
}

}  // namespace
}  // namespace esparse
