// What whole models take to read a prompt and to write: the table of `esparse bench MODEL`.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/machine.h"
#include "io/json.h"
#include "model/engine.h"
#include "runtime/engine_bench.h"

namespace esparse {

struct EngineSubject {
  std::string name;
  std::unique_ptr<Model> model;    // null where the engine has what it needs of it
  std::unique_ptr<Engine> engine;  // ready to run
};
// `model` is ready to run (Model::arrange_for_running).
EngineSubject cpu_subject(std::string name, std::unique_ptr<Model> model);

struct EngineBenchOptions {
  int64_t prompt_tokens = 512, gen_tokens = 128;
  int repetitions = 15;         // at most
  double budget_seconds = 180;  // of all turns, about; at least one turn
};

struct EngineRow {
  std::string name;
  EngineTimes times;  // medians over the turns
  EngineMemory memory;
  int repetitions = 0;
  // How many times as fast as the last subject: medians of the ratios of each turn.
  double prefill_ratio = 1, decode_ratio = 1;
};

// Each turn times every subject once, in their order, and calls `on_turn`; a turn with one written token comes first
// and is not counted.
Result<std::vector<EngineRow>> bench_engines(std::span<const EngineSubject> subjects, const EngineBenchOptions& options,
                                             const std::function<void()>& on_turn);

// `machine` is a line for people, or what machine_json() and gpu_json() say.
std::string engine_rows_text(const std::string& machine, std::span<const EngineRow> rows);
Json engine_rows_json(Json machine, std::span<const EngineRow> rows);

}  // namespace esparse
