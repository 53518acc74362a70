// The results of benchmarks, for people and as JSON.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/linear_rows.h"
#include "bench/machine.h"
#include "io/json.h"

namespace esparse {

// The machine line, the table, and below it which rows gain nothing and what the engine does there.
std::string linear_rows_text(const Machine& machine, std::span<const LinearRow> rows);
// {"machine": {...}, "rows": [{shape, pattern, tokens, dtype, dense_ns, sparse_ns, speedup, bandwidth_share, kernel,
// dense_kernel, ...}]}.
Json linear_rows_json(const Machine& machine, std::span<const LinearRow> rows);

// Which of the rows (of linears on a CPU or a GPU) lose against dense; empty where none does. The engine runs what was
// fastest on the packed weight, which the row names; this says where that is not enough.
template <typename Row>
std::string slower_rows(std::span<const Row> rows) {
  std::string text;
  for (const Row& row : rows)
    if (row.speedup < 1)
      text += fmt::format("{}, {}, {} token{}: {:.2f}x of dense; the engine uses {}, the fastest on this weight\n",
                          row.shape.name, row.pattern, row.tokens, row.tokens == 1 ? "" : "s", row.speedup, row.kernel);
  return text.empty() ? "" : "Slower than dense:\n" + text;
}

Json machine_json(const Machine& machine);

}  // namespace esparse
