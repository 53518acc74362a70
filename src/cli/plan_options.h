// How a command chooses the kernels a model runs on.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "model/model.h"
#include "runtime/plan_search.h"

namespace esparse {

struct PlanOptions {
  std::string cache;         // empty: default_plan_file()
  bool use_default = false;  // measure nothing
};

void add_plan_options(CLI::App& app, PlanOptions& options);

// Makes the model ready to run (runtime/model_plan.h) and returns what is known about its linears. Says on standard
// error when it has to measure, and when the cache is unusable.
PlanTable prepare_model(Model& model, const PlanOptions& options);

}  // namespace esparse
