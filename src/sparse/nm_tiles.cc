#include "sparse/nm_tiles.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/parallel.h"

namespace esparse {
namespace {

constexpr size_t kAlignment = 64;

// Four bits of the bitmask -> i0 | i1 << 2. Only a last, shorter group may have one bit set: its second slot holds +0.0
// and takes column 0 or 1, whichever is free.
constexpr std::array<uint8_t, 16> make_codes() {
  std::array<uint8_t, 16> codes{};
  for (unsigned bits = 0; bits < 16; ++bits) {
    const auto low = static_cast<unsigned>(bits == 0 ? 0 : std::countr_zero(bits));
    const auto high = static_cast<unsigned>(std::popcount(bits) > 1 ? std::bit_width(bits) - 1 : low == 1 ? 0 : 1);
    codes[bits] = static_cast<uint8_t>(low | high << 2);
  }
  return codes;
}
constexpr auto kCodes = make_codes();

// Where the two values of row `row` of group `group` stand in a tile, in elements behind the index.
struct PairPlace {
  int64_t first, second;
};
PairPlace pair_place(DType dtype, int64_t group, int64_t row) {
  const int64_t base = group * NmTilesView::kRows * NmTilesView::kKept;
  if (dtype == DType::bf16) return {base + 2 * row, base + 2 * row + 1};
  return {base + row, base + NmTilesView::kRows + row};
}

template <typename Word>
void fill_row(const NmView& packed, int64_t row, const NmTilesView& view, std::byte* tiles) {
  const int64_t lane = row % NmTilesView::kRows, groups = ceil_div(packed.in_features, NmTilesView::kGroup);
  const uint8_t* bitmask = packed.bitmask + row * packed.bitmask_row_bytes();
  const std::byte* values = packed.values + row * packed.kept_per_row() * static_cast<int64_t>(sizeof(Word));
  for (int64_t group = 0; group < groups; ++group) {
    std::byte* tile = tiles + group / NmTilesView::kGroups * view.tile_bytes();
    const unsigned bits = bitmask[group / 2] >> (group % 2 * 4) & 15u;
    const uint32_t shift = static_cast<uint32_t>(group % NmTilesView::kGroups) * 4;
    uint32_t index;
    std::memcpy(&index, tile + lane * 4, 4);
    index = (index & ~(15u << shift)) | static_cast<uint32_t>(kCodes[bits]) << shift;
    std::memcpy(tile + lane * 4, &index, 4);
    // A last group of one or two columns keeps one or two; what is missing stays zero.
    const PairPlace place = pair_place(view.dtype, group % NmTilesView::kGroups, lane);
    std::byte* target = tile + view.index_bytes();
    const int kept = std::popcount(bits);
    constexpr auto kBytes = static_cast<int64_t>(sizeof(Word));
    if (kept > 0) std::memcpy(target + place.first * kBytes, values, kBytes);
    if (kept > 1) std::memcpy(target + place.second * kBytes, values + kBytes, kBytes);
    values += kept * kBytes;
  }
}

}  // namespace

NmTilesView NmTiles::view() const {
  const auto address = reinterpret_cast<uintptr_t>(storage.data());
  const size_t skip = (kAlignment - address % kAlignment) % kAlignment;
  return {dtype, out_features, in_features, storage.data() + skip};
}

bool fits_tiles(const NmView& packed) {
  if (packed.pattern != NmPattern{2, 4} || packed.in_features == 0 || packed.out_features == 0) return false;
  const int64_t rows = ceil_div(packed.out_features, NmTilesView::kRows) * NmTilesView::kRows;
  const int64_t columns = ceil_div(packed.in_features, NmTilesView::kColumns) * NmTilesView::kColumns;
  return rows * columns <= packed.out_features * packed.in_features / 16 * 17;
}

NmTiles make_nm_tiles(const NmView& packed) {
  NmTiles tiles{packed.dtype, packed.out_features, packed.in_features, {}};
  tiles.storage.resize(static_cast<size_t>(tiles.view().bytes()) + kAlignment);
  const NmTilesView view = tiles.view();
  parallel_for(view.row_blocks(), [&](int64_t block, int) {
    auto* target = const_cast<std::byte*>(view.tile(block, 0));
    for (int64_t tile = 0; tile < view.tiles_per_block(); ++tile)
      std::memset(target + tile * view.tile_bytes(), 0x44, static_cast<size_t>(view.index_bytes()));
    const int64_t first = block * NmTilesView::kRows, last = std::min(first + NmTilesView::kRows, packed.out_features);
    for (int64_t row = first; row < last; ++row) {
      if (dtype_bytes(packed.dtype) == 2) {
        fill_row<uint16_t>(packed, row, view, target);
      } else {
        fill_row<uint32_t>(packed, row, view, target);
      }
    }
  });
  return tiles;
}

void nm_tiles_row_f32(const NmTilesView& tiles, int64_t row, float* target) {
  const int64_t lane = row % NmTilesView::kRows, bytes = dtype_bytes(tiles.dtype);
  for (int64_t column = 0; column < tiles.in_features; column += NmTilesView::kGroup) {
    const std::byte* tile = tiles.tile(row / NmTilesView::kRows, column / NmTilesView::kColumns);
    const int64_t group = column % NmTilesView::kColumns / NmTilesView::kGroup;
    uint32_t index;
    std::memcpy(&index, tile + lane * 4, 4);
    const uint32_t code = index >> (4 * group) & 15;
    const PairPlace place = pair_place(tiles.dtype, group, lane);
    const std::byte* values = tile + tiles.index_bytes();
    std::array<float, NmTilesView::kGroup> group_values{};
    convert_to_f32(tiles.dtype, values + place.first * bytes, std::span(group_values).subspan(code & 3, 1));
    convert_to_f32(tiles.dtype, values + place.second * bytes, std::span(group_values).subspan(code >> 2, 1));
    std::copy_n(group_values.begin(), std::min(NmTilesView::kGroup, tiles.in_features - column), target + column);
  }
}

}  // namespace esparse
