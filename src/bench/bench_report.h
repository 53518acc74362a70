// The results of benchmarks, for people and as JSON.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/linear_rows.h"
#include "bench/machine.h"
#include "io/json.h"

namespace esparse {

// The machine line, the table, and below it which rows gain nothing and what the engine does there.
std::string linear_rows_text(const Machine& machine, std::span<const LinearRow> rows);
// {"machine": {...}, "rows": [{shape, pattern, tokens, dtype, dense_ns, sparse_ns, speedup, bandwidth_share, kernel,
// dense_kernel, ...}]}.
Json linear_rows_json(const Machine& machine, std::span<const LinearRow> rows);

Json machine_json(const Machine& machine);

}  // namespace esparse
