#include "runtime/model_plan.h"

#include "runtime/plan_file.h"

namespace esparse {

ModelPlan plan_model(Model& model, const std::filesystem::path& cache_file, const PlanSearchOptions& options,
                     const std::function<void(int64_t)>& before_search) {
  ModelPlan plan;
  if (missing_choices(model, {}, options) == 0) return plan;  // a small model: nothing to look up
  const auto key = this_plan_key();
  if (!key.ok()) plan.warnings.push_back(key.status());
  const bool cached = key.ok() && !cache_file.empty();
  if (cached) {
    auto table = read_plan_file(cache_file, *key);
    table.ok() ? void(plan.table = std::move(*table)) : plan.warnings.push_back(table.status());
  }
  if (const int64_t missing = missing_choices(model, plan.table, options); missing > 0) {
    before_search(missing);
    search_plans(model, options, plan.table);
    if (cached)
      if (const Status written = write_plan_file(cache_file, *key, plan.table); !written.ok())
        plan.warnings.push_back(written);
  }
  apply_plans(plan.table, model);
  return plan;
}

}  // namespace esparse
