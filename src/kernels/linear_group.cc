#include "kernels/linear_group.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/elementwise.h"
#include "kernels/few.h"
#include "kernels/linear.h"

namespace esparse {
namespace {

constexpr int64_t kSliceAlignment = NmTilesView::kRows;  // a slice of tiles begins at a row block

// Rows [first, first + count), first a multiple of kSliceAlignment.
DenseView slice_rows(const DenseView& weight, int64_t first, int64_t count) {
  return {weight.dtype, count, weight.in_features, weight.data + first * weight.row_bytes()};
}
BitRowsView slice_rows(const NmView& weight, int64_t first, int64_t count) {
  return bit_rows(weight).rows_from(first, count);
}
BitRowsView slice_rows(const BitmapView& weight, int64_t first, int64_t count) {
  return bit_rows(weight).rows_from(first, count);
}
NmTilesView slice_rows(const NmTilesView& weight, int64_t first, int64_t count) {
  return {weight.dtype, count, weight.in_features, weight.tile(first / NmTilesView::kRows, 0), weight.pattern};
}

// Rows of a slice: those of a piece of few_linear(), which reads several streams far apart, fewer in a small weight, so
// that many threads have work.
int64_t slice_size(const LinearTask& task) {
  return weight_out_features(*task.weight) >= 1024 ? 8 * kSliceAlignment : kSliceAlignment;
}
int64_t slices(const LinearTask& task) { return ceil_div(weight_out_features(*task.weight), slice_size(task)); }

bool takes_few_path(const LinearTask& task, int64_t tokens) { return task.plan->path(tokens) == LinearPath::few; }

// One slice of one task. Called inside a region, where few_linear() runs on the calling thread.
void run_slice(const LinearTask& task, MatrixView<const float> x, int64_t slice) {
  const int64_t size = slice_size(task), first = slice * size;
  const int64_t count = std::min(size, weight_out_features(*task.weight) - first);
  const auto bias = task.bias.empty() ? task.bias : task.bias.subspan(first, count);
  std::visit(
      [&](const auto& view) { few_linear(slice_rows(view, first, count), x, bias, task.y.cols_from(first, count)); },
      *task.weight);
}

int64_t operations(const LinearTask& task, int64_t tokens) {
  return tokens * weight_in_features(*task.weight) * weight_out_features(*task.weight);
}

void check(const LinearTask& task, MatrixView<const float> x) {
  ESPARSE_CHECK(x.cols == weight_in_features(*task.weight) && task.y.cols == weight_out_features(*task.weight));
  ESPARSE_CHECK(x.rows == task.y.rows);
  ESPARSE_CHECK(task.bias.empty() || static_cast<int64_t>(task.bias.size()) == task.y.cols);
}

}  // namespace

void linear_group(std::span<const LinearTask> tasks, MatrixView<const float> x) {
  std::vector<const LinearTask*> owners;  // of every slice
  std::vector<int64_t> indices;
  int64_t work = 0;
  for (const LinearTask& task : tasks) {
    check(task, x);
    if (!takes_few_path(task, x.rows)) continue;
    work += operations(task, x.rows);
    for (int64_t slice = 0; slice < slices(task); ++slice) {
      owners.push_back(&task);
      indices.push_back(slice);
    }
  }
  parallel_for_sized(static_cast<int64_t>(owners.size()), work,
                     [&](int64_t piece, int) { run_slice(*owners[piece], x, indices[piece]); });
  for (const LinearTask& task : tasks)
    if (!takes_few_path(task, x.rows)) linear(*task.weight, x, task.bias, task.y, *task.plan);
}

void gated_linear(const LinearTask& gate, const LinearTask& up, MatrixView<const float> x) {
  check(gate, x), check(up, x);
  ESPARSE_CHECK(gate.y.cols == up.y.cols);
  if (!takes_few_path(gate, x.rows) || !takes_few_path(up, x.rows)) {
    linear_group(std::vector{gate, up}, x);
    return silu_multiply(gate.y, up.y);
  }
  const int64_t size = slice_size(gate);  // out_features decides: the same for both
  parallel_for_sized(slices(gate), operations(gate, x.rows) + operations(up, x.rows), [&](int64_t slice, int) {
    run_slice(gate, x, slice);
    run_slice(up, x, slice);
    const int64_t first = slice * size, count = std::min(size, gate.y.cols - first);
    silu_multiply(gate.y.cols_from(first, count), up.y.cols_from(first, count));
  });
}

}  // namespace esparse
