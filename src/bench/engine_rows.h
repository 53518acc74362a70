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
#include "model/model.h"
#include "runtime/engine_bench.h"

namespace esparse {

struct EngineSubject {
  std::string name;
  std::unique_ptr<Model> model;  // ready to run
};

// As they stand in memory: of the linears of the blocks alone; of all tensors.
int64_t engine_linear_bytes(const Model& model);
int64_t engine_weight_bytes(const Model& model);

struct EngineBenchOptions {
  int64_t prompt_tokens = 512, gen_tokens = 128;
  int repetitions = 15;         // at most
  double budget_seconds = 180;  // of all turns, about; at least one turn
};

struct EngineRow {
  std::string name;
  EngineTimes times;  // medians over the turns
  int64_t weight_bytes = 0, linear_bytes = 0;
  int repetitions = 0;
  // How many times as fast as the last subject: medians of the ratios of each turn.
  double prefill_ratio = 1, decode_ratio = 1;
};

// Each turn times every subject once, in their order, and calls `on_turn`; a turn with one written token comes first
// and is not counted.
Result<std::vector<EngineRow>> bench_engines(std::span<const EngineSubject> subjects, const EngineBenchOptions& options,
                                             const std::function<void()>& on_turn);

std::string engine_rows_text(const Machine& machine, std::span<const EngineRow> rows);
Json engine_rows_json(const Machine& machine, std::span<const EngineRow> rows);

}  // namespace esparse
