// How a command chooses the kernels a model runs on.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "bench/engine_rows.h"
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

// The model of a directory, named after it and made ready to run on the CPU, for bench_engines().
Result<EngineSubject> open_planned_model(const std::string& path, const PlanOptions& options);

}  // namespace esparse
