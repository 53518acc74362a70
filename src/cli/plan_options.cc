#include "cli/plan_options.h"

#include <cstdio>

#include "base/parallel.h"
#include "runtime/model_plan.h"
#include "runtime/plan_file.h"

namespace esparse {

void add_plan_options(CLI::App& app, PlanOptions& options) {
  CLI::Option* cache = app.add_option("--plan-cache", options.cache,
                                      "File in which the measured choice of kernels is kept (default: "
                                      "esparse/plans.json in $XDG_CACHE_HOME or ~/.cache)");
  app.add_flag("--default-plan", options.use_default, "Do not measure kernels: the same choice on every machine")
      ->excludes(cache);
}

PlanTable prepare_model(Model& model, const PlanOptions& options) {
  model.arrange_for_running();
  if (options.use_default) return {};
  const std::filesystem::path file = options.cache.empty() ? default_plan_file() : std::filesystem::path(options.cache);
  const auto announce = [&](int64_t choices) {
    std::fprintf(stderr, "Measuring kernels for %lld choices on %d threads, at most about 20 seconds; kept in %s\n",
                 static_cast<long long>(choices), thread_count(),
                 file.empty() ? "memory only (neither XDG_CACHE_HOME nor HOME is set)" : file.c_str());
  };
  ModelPlan plan = plan_model(model, file, PlanSearchOptions(), announce);
  for (const Status& warning : plan.warnings)
    std::fprintf(stderr, "esparse: warning: plan cache: %s\n", warning.message().c_str());
  return std::move(plan.table);
}

Result<EngineSubject> open_planned_model(const std::string& path, const PlanOptions& options) {
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(path));
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::load(std::move(checkpoint)));
  prepare_model(*model, options);
  return cpu_subject(path, std::move(model));
}

}  // namespace esparse
