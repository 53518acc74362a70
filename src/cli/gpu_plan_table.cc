#include "cli/gpu_plan_table.h"

#include "cli/gpu_facts.h"
#include "cli/plan_table.h"
#include "report/table.h"

namespace esparse {
namespace {

Cell cell(const DevicePlanRow& row, size_t bucket) {
  const std::string path(path_name(row.plan.paths[bucket]));
  const double speedup = row.speedup(bucket);
  if (speedup == 0) return path;
  const bool slower = speedup < 1;
  return {fmt::format("{} {:.2f}x{}", path, speedup, slower ? " *" : ""), slower ? Style::bad : Style::plain};
}

constexpr const char* kGpuLegend =
    "Numbers: times as fast as the library on a dense weight of this type and shape; * = slower. Linears that read "
    "the\n"
    "same input are one. few, bits: the packed weight is read once for all tokens; sparse-gemm: our product of many\n"
    "tokens; sparse-library: cuSPARSELt's; expand: rows are expanded for the library; library: dense, cuBLASLt's.\n";

}  // namespace

std::string gpu_plan_text(const cuda::DeviceInfo& gpu, std::span<const DevicePlanRow> rows) {
  std::vector<std::string> headings = {"linears", "out x in", "form"};
  for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket)
    headings.push_back((bucket == 0 ? "tokens " : "") + bucket_name(bucket));
  Table table(headings);
  for (const DevicePlanRow& row : rows) {
    std::vector<Cell> cells = {std::to_string(row.weights), fmt::format("{} x {}", row.out_features, row.in_features),
                               std::string(form_name(row.form))};
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) cells.push_back(cell(row, bucket));
    table.add_row(std::move(cells));
  }
  return gpu_line(gpu) + "\n" + table.text() + kGpuLegend;
}

Json gpu_plan_json(const cuda::DeviceInfo& gpu, std::span<const DevicePlanRow> rows) {
  Json linears = Json::array();
  for (const DevicePlanRow& row : rows) {
    Json paths = Json::array();
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) {
      if (row.choices[bucket].times.empty()) continue;
      Json path = {{"tokens", bucket_name(bucket)}, {"path", path_name(row.plan.paths[bucket])}};
      if (row.speedup(bucket) > 0) path["speedup"] = row.speedup(bucket);
      for (const PathTime& time : row.choices[bucket].times)
        path["seconds"][std::string(path_name(time.path))] = time.seconds;
      paths.push_back(std::move(path));
    }
    linears.push_back({{"count", row.weights},
                       {"form", form_name(row.form)},
                       {"out_features", row.out_features},
                       {"in_features", row.in_features},
                       {"paths", paths}});
  }
  return {{"machine", gpu_json(gpu)}, {"linears", linears}};
}

}  // namespace esparse
