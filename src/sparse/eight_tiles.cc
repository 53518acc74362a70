#include "sparse/eight_tiles.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "sparse/eight_patterns.h"

namespace esparse {
namespace {

using View = NmTilesView;
constexpr int64_t kWordBytes = 4;

// Where the number of the pattern of `group` of a row stands in a tile.
int64_t index_place(int64_t lane, int64_t group) { return lane / 4 * 16 + group * 4 + lane % 4; }
int64_t entry_place(int64_t entry, int64_t lane) {
  return View::kIndexBytes + (entry * View::kRows + lane) * kWordBytes;
}

// Sets the lowest clear bits of the columns from `columns` on until `kept` are set.
unsigned filled_up(unsigned mask, int64_t columns, int kept) {
  for (unsigned bit = 1u << columns; std::popcount(mask) < kept; bit <<= 1) mask |= bit;
  return mask;
}

// One group of a row: `values` are those that it keeps, in ascending columns.
void put_group(const EightPatterns& patterns, unsigned mask, const std::byte* values, int64_t lane, int64_t group,
               std::byte* tile) {
  const uint8_t number = patterns.number[mask];
  tile[index_place(lane, group)] = static_cast<std::byte>(number);
  for (int k = 0; k < patterns.pairs(); ++k)
    std::memcpy(tile + entry_place(group * patterns.pairs() + k, lane), values + kWordBytes * k, kWordBytes);
}

void fill_row(const NmView& packed, const EightPatterns& patterns, int64_t row, std::byte* block, int64_t tile_bytes) {
  const std::byte* values = packed.values + row * packed.kept_per_row() * 2;
  const uint8_t* bits = packed.bitmask + row * packed.bitmask_row_bytes();
  const int64_t lane = row % View::kRows, whole = packed.in_features / 8;
  for (int64_t byte = 0; byte < whole; ++byte, values += 2 * patterns.kept)
    put_group(patterns, bits[byte], values, lane, byte % View::kEights, block + byte / View::kEights * tile_bytes);
  if (whole == packed.bitmask_row_bytes()) return;
  std::array<std::byte, 16> padded{};  // the columns that fill up the last group are its highest
  std::memcpy(padded.data(), values, static_cast<size_t>(2 * std::popcount(bits[whole])));
  put_group(patterns, filled_up(bits[whole], packed.in_features % 8, patterns.kept), padded.data(), lane,
            whole % View::kEights, block + whole / View::kEights * tile_bytes);
}

}  // namespace

void fill_eights(const NmView& packed, const NmTilesView& tiles, int64_t row_block, std::byte* block) {
  const EightPatterns& patterns = eight_patterns(tiles.pattern.kept);
  const int64_t first = row_block * View::kRows, rows = std::min(View::kRows, packed.out_features - first);
  // Rows and groups of padding keep +0.0 in pattern number 0.
  if (rows < View::kRows || packed.in_features % View::kColumns != 0)
    std::memset(block, 0, static_cast<size_t>(tiles.tiles_per_block() * tiles.tile_bytes()));
  for (int64_t row = first; row < first + rows; ++row) fill_row(packed, patterns, row, block, tiles.tile_bytes());
}

void eights_rows_f32(const NmTilesView& tiles, int64_t first, int64_t count, MatrixView<float> target) {
  const EightPatterns& patterns = eight_patterns(tiles.pattern.kept);
  for (int64_t row = first; row < first + count; ++row)
    for (int64_t column = 0; column < tiles.in_features; column += 8) {
      const std::byte* tile = tiles.tile(row / View::kRows, column / View::kColumns);
      const int64_t lane = row % View::kRows, group = column % View::kColumns / 8;
      std::array<bf16, 8> columns{};
      const auto number = std::to_integer<size_t>(tile[index_place(lane, group)]);
      for (int k = 0; k < patterns.kept; ++k) {
        const std::byte* word = tile + entry_place(group * patterns.pairs() + k / 2, lane);
        std::memcpy(&columns[patterns.column[number][static_cast<size_t>(k)]], word + k % 2 * 2, 2);
      }
      const int64_t here = std::min<int64_t>(8, tiles.in_features - column);
      for (int64_t c = 0; c < here; ++c) target(row - first, column + c) = to_f32(columns[static_cast<size_t>(c)]);
    }
}

}  // namespace esparse
