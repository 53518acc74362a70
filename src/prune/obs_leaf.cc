#include "prune/obs_leaf.h"

#include <algorithm>
#include <cmath>

#include "prune/top_k.h"

namespace esparse {
namespace {

// Rows taken together. A constant, so that the compiler turns each loop over lanes into plain vector code; 64 rows of
// 16 columns are 4 KiB.
constexpr int64_t kLanes = 64;

// Some rows with columns and rows exchanged: every step of the sweep is a loop over lanes.
struct Tile {
  float weight[kMaxLeafColumns][kLanes];
  float removed[kMaxLeafColumns][kLanes];  // 1 where the mask removes, else 0; once the column is swept, its error
  float score[kMaxLeafColumns][kLanes];
  int32_t before[kMaxLeafColumns][kLanes];  // how many of the group stand before this weight
  float loss[kLanes];
};

void load(MatrixView<const float> weight, Tile& tile) {
  for (int64_t lane = 0; lane < weight.rows; ++lane)
    for (int64_t col = 0; col < weight.cols; ++col) tile.weight[col][lane] = weight(lane, col);
  for (int64_t col = 0; col < weight.cols; ++col)
    std::fill(tile.weight[col] + weight.rows, tile.weight[col] + kLanes, 0.0f);
}

void load_mask(MatrixView<const uint8_t> mask, Tile& tile) {
  for (int64_t lane = 0; lane < mask.rows; ++lane)
    for (int64_t col = 0; col < mask.cols; ++col) tile.removed[col][lane] = mask(lane, col) == 0 ? 1.0f : 0.0f;
  for (int64_t col = 0; col < mask.cols; ++col)
    std::fill(tile.removed[col] + mask.rows, tile.removed[col] + kLanes, 0.0f);
}

void store(const Tile& tile, MatrixView<float> weight, MatrixView<float> errors) {
  for (int64_t lane = 0; lane < weight.rows; ++lane) {
    for (int64_t col = 0; col < weight.cols; ++col) {
      weight(lane, col) = tile.weight[col][lane];
      errors(lane, col) = tile.removed[col][lane];
    }
  }
}

// Decides the columns [first, first + count) from their weights as they are now.
void choose_group(MatrixView<const float> u, int64_t first, int64_t count, int kept, Tile& tile) {
  for (int64_t col = first; col < first + count; ++col) {
    const float scale = 1.0f / u(col, col);
    for (int64_t lane = 0; lane < kLanes; ++lane) tile.score[col][lane] = std::fabs(tile.weight[col][lane] * scale);
    for (int64_t lane = 0; lane < kLanes; ++lane) tile.before[col][lane] = 0;
  }
  for (int64_t low = first; low < first + count; ++low) {
    for (int64_t high = low + 1; high < first + count; ++high) {
      for (int64_t lane = 0; lane < kLanes; ++lane)
        tile.before[high][lane] += tile.score[low][lane] >= tile.score[high][lane];
      for (int64_t lane = 0; lane < kLanes; ++lane)
        tile.before[low][lane] += tile.score[high][lane] > tile.score[low][lane];
    }
  }
  for (int64_t col = first; col < first + count; ++col)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      tile.removed[col][lane] = tile.before[col][lane] >= kept ? 1.0f : 0.0f;
}

void store_mask(const Tile& tile, int64_t first, int64_t count, MatrixView<uint8_t> mask) {
  for (int64_t lane = 0; lane < mask.rows; ++lane)
    for (int64_t col = first; col < first + count; ++col) mask(lane, col) = tile.removed[col][lane] == 0.0f;
}

void sweep_column(MatrixView<const float> u, int64_t col, Tile& tile) {
  const float scale = 1.0f / u(col, col);
  float error[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    const float gone = tile.weight[col][lane] * tile.removed[col][lane];
    tile.weight[col][lane] -= gone;
    error[lane] = gone * scale;
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) tile.removed[col][lane] = error[lane];
  for (int64_t lane = 0; lane < kLanes; ++lane) tile.loss[lane] += error[lane] * error[lane];
  for (int64_t later = col + 1; later < u.cols; ++later) {
    const float factor = u(col, later);
    for (int64_t lane = 0; lane < kLanes; ++lane) tile.weight[later][lane] -= error[lane] * factor;
  }
}

}  // namespace

double sweep_leaf(MatrixView<float> weight, MatrixView<const float> u, std::optional<NmPattern> pattern,
                  MatrixView<uint8_t> mask, MatrixView<float> errors) {
  ESPARSE_CHECK(weight.cols <= kMaxLeafColumns && u.rows == weight.cols && u.cols == weight.cols);
  double loss = 0;
  Tile tile;
  for (int64_t first_row = 0; first_row < weight.rows; first_row += kLanes) {
    const int64_t rows = std::min(kLanes, weight.rows - first_row);
    const auto tile_mask = mask.rows_from(first_row, rows);
    load(weight.rows_from(first_row, rows), tile);
    if (!pattern) load_mask(tile_mask, tile);
    std::fill(tile.loss, tile.loss + kLanes, 0.0f);
    for (int64_t col = 0; col < weight.cols; ++col) {
      if (pattern && col % pattern->group == 0) {
        const int64_t count = std::min<int64_t>(pattern->group, weight.cols - col);
        choose_group(u, col, count, static_cast<int>(pattern->kept_in(count)), tile);
        store_mask(tile, col, count, tile_mask);
      }
      sweep_column(u, col, tile);
    }
    store(tile, weight.rows_from(first_row, rows), errors.rows_from(first_row, rows));
    for (int64_t lane = 0; lane < rows; ++lane) loss += tile.loss[lane];
  }
  return loss;
}

}  // namespace esparse
