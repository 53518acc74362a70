#include <fmt/format.h>

#include "bench/bench_report.h"
#include "bench/device_rows.h"
#include "report/table.h"

namespace esparse {
namespace {

// What the product would take at the limits of this GPU.
double floor_seconds(const DeviceMachine& machine, const DeviceRow& row) {
  return machine.floor_seconds(static_cast<double>(row.weight_bytes + row.activation_bytes), row.flops() * row.kept);
}

// The best ratio that the formats allow: both sides at their floors.
double bound(const DeviceMachine& machine, const DeviceRow& row) {
  const double dense = machine.floor_seconds(static_cast<double>(row.dense_bytes + row.activation_bytes), row.flops());
  return dense / floor_seconds(machine, row);
}

double copy_share(const DeviceMachine& machine, const DeviceRow& row) {
  return row.bytes_per_second() / machine.copy_bytes_per_second;
}

std::string microseconds(double seconds) { return fmt::format("{:.1f}", seconds * 1e6); }

}  // namespace

std::string device_report_text(const DeviceReport& report) {
  Table table({"shape", "out x in", "pattern", "tokens", "dense us", "library us", "sparse us", "ratio", "+-", "bound",
               "of library", "GB/s", "of copy", "TFLOP/s", "of floor", "sparse kernel", "dense kernel"});
  const std::string* shape = nullptr;
  for (const DeviceRow& row : report.rows) {
    if (shape != nullptr && *shape != row.shape.name) table.add_rule();
    shape = &row.shape.name;
    const DeviceMachine& machine = report.machine;
    table.add_row({row.shape.name, fmt::format("{} x {}", row.shape.out_features, row.shape.in_features), row.pattern,
                   std::to_string(row.tokens), microseconds(row.dense_seconds),
                   row.library_seconds ? microseconds(*row.library_seconds) : "-", microseconds(row.sparse_seconds),
                   fmt::format("{:.2f}x", row.speedup), fmt::format("{:.2f}", row.speedup_mad),
                   fmt::format("{:.2f}x", bound(machine, row)),
                   row.speedup_over_library ? fmt::format("{:.2f}x", *row.speedup_over_library) : "-",
                   fmt::format("{:.0f}", row.bytes_per_second() * 1e-9),
                   fmt::format("{:.0f} %", 100 * copy_share(machine, row)),
                   fmt::format("{:.1f}", row.flops() / row.sparse_seconds * 1e-12),
                   fmt::format("{:.0f} %", 100 * floor_seconds(machine, row) / row.sparse_seconds), row.kernel,
                   row.dense_kernel});
  }
  std::string text = report.machine.line() + "\n";
  if (!report.machine.has_sparse_library) text += report.machine.sparse_library + "\n";
  return text + table.text() + slower_rows(std::span<const DeviceRow>(report.rows));
}

Json device_report_json(const DeviceReport& report) {
  Json rows = Json::array();
  for (const DeviceRow& row : report.rows) {
    Json json = {{"shape", row.shape.name},
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
                 {"bound", bound(report.machine, row)},
                 {"floor_ns", floor_seconds(report.machine, row) * 1e9},
                 {"repetitions", row.repetitions},
                 {"weight_bytes", row.weight_bytes},
                 {"dense_weight_bytes", row.dense_bytes},
                 {"bytes_per_second", row.bytes_per_second()},
                 {"copy_share", copy_share(report.machine, row)},
                 {"flops_per_second", row.flops() / row.sparse_seconds},
                 {"kernel", row.kernel},
                 {"dense_kernel", row.dense_kernel}};
    if (row.library_seconds) {
      json["library_ns"] = *row.library_seconds * 1e9;
      json["speedup_over_library"] = *row.speedup_over_library;
      json["library_kernel"] = row.library_kernel;
    }
    rows.push_back(std::move(json));
  }
  return {{"machine", device_machine_json(report.machine)}, {"rows", rows}};
}

}  // namespace esparse
