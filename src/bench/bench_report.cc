#include "bench/bench_report.h"

#include <fmt/format.h>

#include "report/table.h"

namespace esparse {
namespace {

double peak_share(const Machine& machine, const LinearRow& row) {
  return row.flops_per_second() / machine.flops_per_second;
}

}  // namespace

std::string linear_rows_text(const Machine& machine, std::span<const LinearRow> rows) {
  Table table({"shape", "out x in", "pattern", "tokens", "dense ms", "sparse ms", "ratio", "+-", "GB/s", "of read",
               "GFLOP/s", "of peak", "sparse kernel", "dense kernel"});
  const std::string* shape = nullptr;
  for (const LinearRow& row : rows) {
    if (shape != nullptr && *shape != row.shape.name) table.add_rule();
    shape = &row.shape.name;
    table.add_row({row.shape.name, fmt::format("{} x {}", row.shape.out_features, row.shape.in_features), row.pattern,
                   std::to_string(row.tokens), fmt::format("{:.3f}", row.dense_seconds * 1e3),
                   fmt::format("{:.3f}", row.sparse_seconds * 1e3), fmt::format("{:.2f}x", row.speedup),
                   fmt::format("{:.2f}", row.speedup_mad), fmt::format("{:.1f}", row.bytes_per_second() * 1e-9),
                   fmt::format("{:.0f} %", 100 * row.bandwidth_share),
                   fmt::format("{:.1f}", row.flops_per_second() * 1e-9),
                   fmt::format("{:.0f} %", 100 * peak_share(machine, row)), row.kernel, row.dense_kernel});
  }
  return machine.line() + "\n" + table.text() + slower_rows(rows);
}

Json machine_json(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"isa", machine.isa},
          {"threads", machine.threads},
          {"last_level_cache_bytes", machine.last_level_cache_bytes},
          {"read_bytes_per_second", machine.read_bytes_per_second},
          {"flops_per_second", machine.flops_per_second}};
}

Json linear_rows_json(const Machine& machine, std::span<const LinearRow> rows) {
  Json list = Json::array();
  for (const LinearRow& row : rows)
    list.push_back({{"shape", row.shape.name},
                    {"out_features", row.shape.out_features},
                    {"in_features", row.shape.in_features},
                    {"per_block", row.shape.per_block},
                    {"pattern", row.pattern},
                    {"tokens", row.tokens},
                    {"dtype", dtype_name(row.dtype)},
                    {"dense_ns", row.dense_seconds * 1e9},
                    {"sparse_ns", row.sparse_seconds * 1e9},
                    {"speedup", row.speedup},
                    {"speedup_mad", row.speedup_mad},
                    {"repetitions", row.repetitions},
                    {"weight_bytes", row.weight_bytes},
                    {"bytes_per_second", row.bytes_per_second()},
                    {"bandwidth_share", row.bandwidth_share},
                    {"flops_per_second", row.flops_per_second()},
                    {"peak_share", peak_share(machine, row)},
                    {"kernel", row.kernel},
                    {"dense_kernel", row.dense_kernel}});
  return {{"machine", machine_json(machine)}, {"rows", list}};
}

}  // namespace esparse
