#include "sparse/nm_tiles.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "base/parallel.h"
#include "sparse/eight_tiles.h"

namespace esparse {
namespace {

using View = NmTilesView;
constexpr int64_t kTileKept = View::kGroups * View::kKept;  // values of one row in a tile
constexpr int64_t kTileBitBytes = View::kColumns / 8;       // bytes of the bitmask of one row in a tile
constexpr int kPaddingCode = 0 | 1 << 2;
// Tiles are filled and read in runs of so many, row by row: long runs of the packed rows, whose starts often lie at
// multiples of 4 KiB and then fight for the same few places of the L1 cache, while the tiles (4.5 KiB) stay in it.
constexpr int64_t kRun = 8;

// Four bits of the bitmask -> i0 | i1 << 2. One bit is a last group of one or two columns, none is padding.
constexpr int code_of(unsigned bits) {
  if (bits == 0) return kPaddingCode;
  const int first = std::countr_zero(bits);
  return first | (std::popcount(bits) > 1 ? std::bit_width(bits) - 1 : 3) << 2;
}
// A byte of the bitmask -> a byte of the index: two groups.
constexpr std::array<uint8_t, 256> make_codes() {
  std::array<uint8_t, 256> codes{};
  for (unsigned byte = 0; byte < 256; ++byte)
    codes[byte] = static_cast<uint8_t>(code_of(byte & 15) | code_of(byte >> 4) << 4);
  return codes;
}
constexpr auto kCodes = make_codes();

// Puts one row into one tile: kTileKept values and kTileBitBytes of bitmask.
template <typename Word, bool interleaved>
void fill_row(const std::byte* values, const uint8_t* bits, int64_t lane, std::byte* tile) {
  uint32_t index = 0;
  for (int64_t i = 0; i < kTileBitBytes; ++i) index |= static_cast<uint32_t>(kCodes[bits[i]]) << (8 * i);
  std::memcpy(tile + lane * 4, &index, 4);
  constexpr int64_t kBytes = sizeof(Word), kGroupBytes = View::kRows * View::kKept * kBytes;
  std::byte* target = tile + View::kRows * 4;
  for (int64_t group = 0; group < View::kGroups; ++group, target += kGroupBytes, values += 2 * kBytes) {
    if constexpr (interleaved) {
      std::memcpy(target + lane * 2 * kBytes, values, 2 * kBytes);
    } else {
      std::memcpy(target + lane * kBytes, values, kBytes);
      std::memcpy(target + (View::kRows + lane) * kBytes, values + kBytes, kBytes);
    }
  }
}

// Puts the tiles [first, last) of one row in place.
template <typename Word, bool interleaved>
void fill_tiles(const NmView& packed, int64_t row, int64_t first, int64_t last, std::byte* block, int64_t tile_bytes) {
  const int64_t lane = row % View::kRows, whole = packed.in_features / View::kColumns;
  const std::byte* values = packed.values + row * packed.kept_per_row() * static_cast<int64_t>(sizeof(Word));
  const uint8_t* bits = packed.bitmask + row * packed.bitmask_row_bytes();
  for (int64_t tile = first; tile < std::min(last, whole); ++tile)
    fill_row<Word, interleaved>(values + tile * kTileKept * static_cast<int64_t>(sizeof(Word)),
                                bits + tile * kTileBitBytes, lane, block + tile * tile_bytes);
  if (last <= whole) return;
  // The last tile is not whole: what the row has, then zeros. All groups but the last keep two values, so each stands
  // where it belongs.
  std::array<Word, kTileKept> last_values{};
  std::array<uint8_t, kTileBitBytes> last_bits{};
  std::memcpy(last_values.data(), values + whole * kTileKept * static_cast<int64_t>(sizeof(Word)),
              static_cast<size_t>(packed.kept_per_row() - whole * kTileKept) * sizeof(Word));
  std::memcpy(last_bits.data(), bits + whole * kTileBitBytes,
              static_cast<size_t>(packed.bitmask_row_bytes() - whole * kTileBitBytes));
  fill_row<Word, interleaved>(reinterpret_cast<const std::byte*>(last_values.data()), last_bits.data(), lane,
                              block + whole * tile_bytes);
}

// Rows of padding: nothing kept.
template <typename Word, bool interleaved>
void fill_padding(int64_t lane, int64_t first, int64_t last, std::byte* block, int64_t tile_bytes) {
  const std::array<std::byte, kTileKept * sizeof(Word)> values{};
  const std::array<uint8_t, kTileBitBytes> bits{};
  for (int64_t tile = first; tile < last; ++tile)
    fill_row<Word, interleaved>(values.data(), bits.data(), lane, block + tile * tile_bytes);
}

template <typename Word, bool interleaved>
void fill_block(const NmView& packed, const View& view, int64_t row_block, std::byte* block) {
  const int64_t first_row = row_block * View::kRows, tiles = view.tiles_per_block();
  for (int64_t first = 0; first < tiles; first += kRun) {
    const int64_t last = std::min(first + kRun, tiles);
    for (int64_t row = first_row; row < first_row + View::kRows; ++row) {
      if (row < packed.out_features) {
        fill_tiles<Word, interleaved>(packed, row, first, last, block, view.tile_bytes());
      } else {
        fill_padding<Word, interleaved>(row - first_row, first, last, block, view.tile_bytes());
      }
    }
  }
}

// A code of four bits -> which columns take the first value, which the second, as masks.
struct Spread {
  std::array<uint32_t, View::kGroup> first{}, second{};
};
constexpr std::array<Spread, 16> make_spreads() {
  std::array<Spread, 16> spreads{};
  for (size_t code = 0; code < spreads.size(); ++code) {
    spreads[code].first[code & 3] = ~uint32_t{0};
    spreads[code].second[code >> 2] = ~uint32_t{0};
  }
  return spreads;
}
constexpr auto kSpreads = make_spreads();

// The values of one tile as f32 words, in the order [8][2][16] that only bf16 does not have anyway.
using TileWords = std::array<uint32_t, View::kGroups * View::kKept * View::kRows>;

void widen_values(DType dtype, const std::byte* values, TileWords& words) {
  if (dtype != DType::bf16) {
    std::array<float, std::tuple_size_v<TileWords>> widened;
    convert_to_f32(dtype, values, widened);
    std::memcpy(words.data(), widened.data(), sizeof(widened));
    return;
  }
  for (int64_t group = 0; group < View::kGroups; ++group) {
    std::array<uint32_t, View::kRows> pairs;
    std::memcpy(pairs.data(), values + group * static_cast<int64_t>(sizeof(pairs)), sizeof(pairs));
    uint32_t* first = words.data() + group * View::kKept * View::kRows;
    for (int64_t row = 0; row < View::kRows; ++row) first[row] = pairs[row] << 16;
    for (int64_t row = 0; row < View::kRows; ++row) first[View::kRows + row] = pairs[row] & 0xffff0000u;
  }
}

// The four columns of one group of a row.
void expand_group(uint32_t code, uint32_t first, uint32_t second, float* target) {
  std::array<uint32_t, View::kGroup> columns;
  for (size_t i = 0; i < columns.size(); ++i)
    columns[i] = (first & kSpreads[code].first[i]) | (second & kSpreads[code].second[i]);
  std::memcpy(target, columns.data(), sizeof(columns));
}

// One row of a tile into target [32].
void expand_row(uint32_t index, const TileWords& words, int64_t lane, float* target) {
  const uint32_t* first = words.data() + lane;
  for (int64_t group = 0; group < View::kGroups; ++group, index >>= 4, first += View::kKept * View::kRows)
    expand_group(index & 15, first[0], first[View::kRows], target + group * View::kGroup);
}

// The pattern of the tiles: 2:4, or what `packed` keeps of eight columns; none where it does not stand in tiles.
std::optional<NmPattern> tile_pattern(const NmView& packed) {
  const NmPattern pattern = packed.pattern;
  if (pattern == NmPattern{2, 4}) return pattern;
  const int kept = pattern.kept * 8 / pattern.group;
  if (packed.dtype != DType::bf16 || 8 % pattern.group != 0 || kept % 2 != 0) return std::nullopt;
  return NmPattern{kept, 8};
}

}  // namespace

NmTilesView NmTiles::view() const { return {dtype, out_features, in_features, storage.data(), pattern}; }

bool fits_tiles(const NmView& packed) {
  if (packed.in_features == 0 || packed.out_features == 0) return false;
  if (!tile_pattern(packed)) return false;
  const int64_t rows = ceil_div(packed.out_features, View::kRows) * View::kRows;
  const int64_t columns = ceil_div(packed.in_features, View::kColumns) * View::kColumns;
  return rows * columns - packed.out_features * packed.in_features <= packed.out_features * packed.in_features / 16;
}

NmTiles make_nm_tiles(const NmView& packed) {
  NmTiles tiles{packed.dtype, packed.out_features, packed.in_features, tile_pattern(packed).value(), {}};
  tiles.storage = LargeBytes(tiles.view().bytes());
  const NmTilesView view = tiles.view();
  parallel_for_sized(view.row_blocks(), packed.out_features * packed.in_features, [&](int64_t block, int) {
    auto* target = const_cast<std::byte*>(view.tile(block, 0));
    if (view.of_eights()) return fill_eights(packed, view, block, target);
    if (packed.dtype == DType::bf16) return fill_block<uint16_t, true>(packed, view, block, target);
    if (packed.dtype == DType::f16) return fill_block<uint16_t, false>(packed, view, block, target);
    fill_block<uint32_t, false>(packed, view, block, target);
  });
  return tiles;
}

void nm_tiles_rows_f32(const NmTilesView& tiles, int64_t first, int64_t count, MatrixView<float> target) {
  ESPARSE_CHECK(first >= 0 && count >= 0 && first + count <= tiles.out_features);
  ESPARSE_CHECK(target.rows >= count && target.cols == tiles.in_features);
  if (tiles.of_eights()) return eights_rows_f32(tiles, first, count, target);
  const int64_t last = first + count;
  TileWords words;
  for (int64_t block = first / View::kRows; block * View::kRows < last; ++block) {
    const int64_t first_row = std::max(first, block * View::kRows),
                  last_row = std::min(last, (block + 1) * View::kRows);
    for (int64_t column = 0; column < tiles.in_features; column += View::kColumns) {
      const std::byte* tile = tiles.tile(block, column / View::kColumns);
      std::array<uint32_t, View::kRows> index;
      std::memcpy(index.data(), tile, sizeof(index));
      widen_values(tiles.dtype, tile + View::kIndexBytes, words);
      const int64_t columns = std::min(View::kColumns, tiles.in_features - column);
      for (int64_t row = first_row; row < last_row; ++row) {
        float* row_target = target.row(row - first).data() + column;
        if (columns == View::kColumns) {
          expand_row(index[row % View::kRows], words, row % View::kRows, row_target);
        } else {
          std::array<float, View::kColumns> expanded;
          expand_row(index[row % View::kRows], words, row % View::kRows, expanded.data());
          std::copy_n(expanded.begin(), columns, row_target);
        }
      }
    }
  }
}

}  // namespace esparse
