// Puts every linear of a loaded model on the path that is fastest on this machine.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "base/status.h"
#include "runtime/plan_search.h"

namespace esparse {

struct ModelPlan {
  PlanTable table;
  std::vector<Status> warnings;  // the cache could not be read or written; the plan is good all the same
};

// Takes the choices from `cache_file`, measures those that it lacks (`before_search` is called with their number
// first), writes them there, and sets the plans of the model. An empty path is no cache.
ModelPlan plan_model(Model& model, const std::filesystem::path& cache_file, const PlanSearchOptions& options,
                     const std::function<void(int64_t)>& before_search);

}  // namespace esparse
