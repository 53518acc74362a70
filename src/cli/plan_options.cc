#include "cli/plan_options.h"

#include <cstdio>

#include "base/parallel.h"
#include "kernels/cuda/library_plans.h"
#include "kernels/cuda/sparse_library.h"
#include "runtime/model_plan.h"
#include "runtime/plan_file.h"

namespace esparse {

void add_plan_options(CLI::App& app, PlanOptions& options) {
  CLI::Option* cache = app.add_option("--plan-cache", options.cache,
                                      "File in which the measured choice of kernels is kept (default: "
                                      "esparse/plans.json in $XDG_CACHE_HOME or ~/.cache; gpu-plans.json for a GPU)");
  app.add_flag("--default-plan", options.use_default, "Do not measure kernels: the same choice on every machine")
      ->excludes(cache);
  app.add_flag("--sparse-library", options.sparse_library,
               "On a GPU: give 2:4 weights a second copy, which cuSPARSELt multiplies with many tokens; takes as much "
               "memory again as the packed weights");
}

Status check_plan_options(const PlanOptions& options, bool on_gpu) {
  if (options.sparse_library && !on_gpu) return invalid_argument("--sparse-library: needs --device cuda");
  return {};
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

void prepare_gpu(const Device& gpu, const PlanOptions& options) {
  cuda::GemmSearch search{.measure = !options.use_default, .file = options.cache};
  if (search.measure && options.cache.empty()) search.file = cuda::default_library_plan_file();
  gpu.backend().gemm->set_search(search);
  gpu.backend().sparse_library->set_search(search);
}

GpuEngineOptions gpu_options(const PlanOptions& options) {
  GpuEngineOptions result;
  result.measure_plans = !options.use_default;
  result.sparse_library = options.sparse_library;
  return result;
}

void show_plan_warnings(const cuda::Backend& backend) {
  for (const auto& warnings : {backend.gemm->take_warnings(), backend.sparse_library->take_warnings()})
    for (const Status& warning : warnings)
      std::fprintf(stderr, "esparse: warning: plan cache: %s\n", warning.message().c_str());
}

Result<EngineSubject> open_planned_model(const std::string& path, const PlanOptions& options) {
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(path));
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::load(std::move(checkpoint)));
  prepare_model(*model, options);
  return cpu_subject(path, std::move(model));
}

}  // namespace esparse
