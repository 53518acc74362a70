#include "cli/plan_table.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/isa.h"
#include "report/table.h"

namespace esparse {
namespace {

// Linears that share a kind: they have the same plan.
struct Group {
  const LinearLayer* layer = nullptr;
  std::vector<std::string> names;  // the last parts: "q_proj"
  int64_t count = 0;
};

std::vector<Group> group_linears(const Model& model) {
  std::vector<Group> groups;
  for (const LinearLayer* layer : block_linears(model)) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return kind_of(*g.layer) == kind_of(*layer); });
    if (group == groups.end()) group = groups.insert(group, {layer, {}, 0});
    const std::string name = layer->name().substr(layer->name().rfind('.') + 1);
    if (std::find(group->names.begin(), group->names.end(), name) == group->names.end()) group->names.push_back(name);
    ++group->count;
  }
  return groups;
}

const PlanChoice* measured(const PlanTable& table, const LinearLayer& layer, size_t bucket) {
  const KindPlan* plan = find_plan(table, kind_of(layer));
  return plan != nullptr && plan->choices[bucket] && plan->choices[bucket]->has_ratio() ? &*plan->choices[bucket]
                                                                                        : nullptr;
}

Cell cell(const PlanTable& table, const LinearLayer& layer, size_t bucket) {
  const std::string path(path_name(layer.plan().paths[bucket]));
  const PlanChoice* choice = measured(table, layer, bucket);
  if (choice == nullptr) return path;
  const bool slower = choice->ratio() < 1;
  return {fmt::format("{} {:.2f}x{}", path, choice->ratio(), slower ? " *" : ""), slower ? Style::bad : Style::plain};
}

constexpr const char* kLegend =
    "Numbers: times as fast as the best dense path on a dense weight of this type and shape; * = slower.\n"
    "few: the weight is read once for all tokens; sparse-gemm: only kept weights are multiplied; dense-gemm: rows are\n"
    "expanded and multiplied as if dense. Rows without numbers were not measured (dense, or too small to matter).\n";

}  // namespace

std::string bucket_name(size_t bucket) {
  const int64_t first = bucket == 0 ? 1 : kTokenBuckets[bucket - 1] + 1, last = kTokenBuckets[bucket];
  if (last == INT64_MAX) return fmt::format("{}+", first);
  return first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
}

std::string plan_text(const Model& model, const PlanTable& table) {
  std::vector<std::string> headings = {"linears", "out x in", "form", "type"};
  for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket)
    headings.push_back((bucket == 0 ? "tokens " : "") + bucket_name(bucket));
  Table rows(headings);
  for (const Group& group : group_linears(model)) {
    std::vector<Cell> cells = {fmt::format("{} {}", group.count, fmt::join(group.names, ",")),
                               fmt::format("{} x {}", group.layer->out_features(), group.layer->in_features()),
                               kind_of(*group.layer).form, std::string(dtype_name(group.layer->dtype()))};
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) cells.push_back(cell(table, *group.layer, bucket));
    rows.add_row(std::move(cells));
  }
  return fmt::format("{}, {} threads\n", isa_name(current_isa()), thread_count()) + rows.text() + kLegend;
}

Json plan_json(const Model& model, const PlanTable& table) {
  Json linears = Json::array();
  for (const Group& group : group_linears(model)) {
    Json paths = Json::array();
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) {
      Json path = {{"tokens", bucket_name(bucket)}, {"path", path_name(group.layer->plan().paths[bucket])}};
      if (const PlanChoice* choice = measured(table, *group.layer, bucket)) {
        path["speedup"] = choice->ratio();
        path["dense_path"] = path_name(choice->dense_path);
      }
      paths.push_back(std::move(path));
    }
    linears.push_back({{"names", group.names},
                       {"count", group.count},
                       {"form", kind_of(*group.layer).form},
                       {"dtype", dtype_name(group.layer->dtype())},
                       {"out_features", group.layer->out_features()},
                       {"in_features", group.layer->in_features()},
                       {"paths", paths}});
  }
  return {{"machine", {{"isa", isa_name(current_isa())}, {"threads", thread_count()}}}, {"linears", linears}};
}

}  // namespace esparse
