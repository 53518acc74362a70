// How a command chooses the kernels a model runs on.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "bench/engine_rows.h"
#include "gpu/device.h"
#include "gpu/gpu_engine.h"
#include "model/model.h"
#include "runtime/plan_search.h"

namespace esparse {

struct PlanOptions {
  std::string cache;            // empty: default_plan_file()
  bool use_default = false;     // measure nothing
  bool sparse_library = false;  // on a GPU: GpuEngineOptions
};

void add_plan_options(CLI::App& app, PlanOptions& options);

// Refuses what is for a GPU alone where none is used.
Status check_plan_options(const PlanOptions& options, bool on_gpu);

// Makes the model ready to run (runtime/model_plan.h) and returns what is known about its linears. Says on standard
// error when it has to measure, and when the cache is unusable.
PlanTable prepare_model(Model& model, const PlanOptions& options);

// The same choice on a GPU: its libraries measure their algorithms for each shape they meet, and keep them.
void prepare_gpu(const Device& gpu, const PlanOptions& options);
// The engine's part of the choice.
GpuEngineOptions gpu_options(const PlanOptions& options);
// Says on standard error what was wrong with the file that they are kept in.
void show_plan_warnings(const cuda::Backend& backend);

// The model of a directory, named after it and made ready to run on the CPU, for bench_engines().
Result<EngineSubject> open_planned_model(const std::string& path, const PlanOptions& options);

}  // namespace esparse
