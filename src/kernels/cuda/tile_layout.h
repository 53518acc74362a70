// Where things stand in GPU tiles: 2:4 weights in the order in which mma_sp_16x8x32 takes them.
// Byte-level description: docs/formats/gpu-tiles.md.
#pragma once

#include <cstdint>

namespace esparse::cuda {

// A row block is 16 rows, a fragment 16 rows x 32 columns (512 bytes: 16 for each lane), a panel up to 8 fragments
// behind their metadata (512 bytes: 16 for each lane). Columns are padded to 64, so that fragments come in pairs.
struct TileLayout {
  static constexpr int64_t kRows = 16, kLanes = 32, kFragmentColumns = 32, kPairColumns = 64, kPanelColumns = 256;
  static constexpr int64_t kFragmentBytes = 512, kMetadataBytes = 512;

  int64_t rows = 0, columns = 0;

  constexpr int64_t row_blocks() const { return (rows + kRows - 1) / kRows; }
  constexpr int64_t panels() const { return (columns + kPanelColumns - 1) / kPanelColumns; }  // of a row block
  constexpr int64_t fragments() const { return (columns + kPairColumns - 1) / kPairColumns * 2; }
  constexpr int64_t row_block_bytes() const { return panels() * kMetadataBytes + fragments() * kFragmentBytes; }
  constexpr int64_t bytes() const { return row_blocks() * row_block_bytes(); }
};

}  // namespace esparse::cuda
