// Tiles of N:8 (sparse/nm_tiles.h): filling and reading them. Part of nm_tiles.cc; nobody else needs it.
#pragma once

#include "base/matrix.h"
#include "sparse/nm_tiles.h"

namespace esparse {

// Puts row block `row_block` of a validated bf16 matrix of N:2, N:4 or N:8 into `block`, tiles_per_block() tiles.
void fill_eights(const NmView& packed, const NmTilesView& tiles, int64_t row_block, std::byte* block);

// nm_tiles_rows_f32() for these tiles.
void eights_rows_f32(const NmTilesView& tiles, int64_t first, int64_t count, MatrixView<float> target);

}  // namespace esparse
