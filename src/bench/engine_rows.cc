#include "bench/engine_rows.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/byte_size.h"
#include "base/timing.h"
#include "bench/bench_report.h"
#include "model/cpu_engine.h"
#include "report/table.h"

namespace esparse {
namespace {

double median_ratio(const std::vector<double>& slower, const std::vector<double>& faster) {
  std::vector<double> ratios;
  for (size_t turn = 0; turn < slower.size(); ++turn) ratios.push_back(slower[turn] / faster[turn]);
  return median(std::move(ratios));
}

struct Turns {
  std::vector<double> prefill, decode;
  int64_t kv_bytes = 0;
};

}  // namespace

EngineSubject cpu_subject(std::string name, std::unique_ptr<Model> model) {
  auto engine = std::make_unique<CpuEngine>(*model);
  return {std::move(name), std::move(model), std::move(engine)};
}

Result<std::vector<EngineRow>> bench_engines(std::span<const EngineSubject> subjects, const EngineBenchOptions& options,
                                             const std::function<void()>& on_turn) {
  std::vector<Turns> turns(subjects.size());
  Status status;
  double spent = 0, longest = 0;
  for (int turn = -1; turn < options.repetitions; ++turn) {
    if (turn > 0 && spent + longest > options.budget_seconds) break;
    const double turn_seconds = seconds_of([&] {
      for (size_t i = 0; i < subjects.size() && status.ok(); ++i) {
        const int64_t gen_tokens = turn < 0 ? 1 : options.gen_tokens;
        const auto times = time_engine(*subjects[i].engine, options.prompt_tokens, gen_tokens, 1);
        status = times.ok() ? Status() : times.status().with_context(subjects[i].name);
        if (turn < 0 || !times.ok()) continue;
        turns[i].kv_bytes = times->kv_bytes;
        turns[i].prefill.push_back(times->prefill_seconds);
        turns[i].decode.push_back(times->decode_seconds_per_token);
      }
    });
    ESPARSE_RETURN_IF_ERROR(status);
    spent += turn_seconds;
    longest = std::max(longest, turn_seconds);
    on_turn();
  }
  std::vector<EngineRow> rows;
  for (size_t i = 0; i < subjects.size(); ++i) {
    EngineRow row;
    row.name = subjects[i].name;
    row.times = {median(turns[i].prefill), median(turns[i].decode), options.prompt_tokens, options.gen_tokens,
                 turns[i].kv_bytes};
    row.memory = subjects[i].engine->memory();
    row.repetitions = static_cast<int>(turns[i].prefill.size());
    row.prefill_ratio = median_ratio(turns.back().prefill, turns[i].prefill);
    row.decode_ratio = median_ratio(turns.back().decode, turns[i].decode);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string engine_rows_text(const std::string& machine, std::span<const EngineRow> rows) {
  const bool on_gpu = std::ranges::any_of(rows, [](const EngineRow& row) { return row.memory.workspace > 0; });
  std::vector<std::string> columns = {"model",    "prompt",   "prefill s", "tokens/s", "ratio",     "written",
                                      "ms/token", "tokens/s", "ratio",     "weights",  "of linears"};
  if (on_gpu) columns.insert(columns.end(), {"keys, values", "workspace"});
  Table table(columns);
  for (const EngineRow& row : rows) {
    const EngineTimes& times = row.times;
    std::vector<Cell> cells = {row.name,
                               std::to_string(times.prompt_tokens),
                               fmt::format("{:.3f}", times.prefill_seconds),
                               fmt::format("{:.1f}", static_cast<double>(times.prompt_tokens) / times.prefill_seconds),
                               fmt::format("{:.2f}x", row.prefill_ratio),
                               std::to_string(times.gen_tokens),
                               fmt::format("{:.2f}", times.decode_seconds_per_token * 1e3),
                               fmt::format("{:.1f}", 1 / times.decode_seconds_per_token),
                               fmt::format("{:.2f}x", row.decode_ratio),
                               format_bytes(row.memory.weights),
                               format_bytes(row.memory.linears)};
    if (on_gpu) cells.insert(cells.end(), {format_bytes(times.kv_bytes), format_bytes(row.memory.workspace)});
    table.add_row(cells);
  }
  std::string text = machine + "\n" + table.text();
  if (rows.size() == 2)
    text += fmt::format(
        "{}: {:.3f}x the memory of {}, its linears {:.3f}x; {} turns\n", rows[0].name,
        static_cast<double>(rows[0].memory.weights) / static_cast<double>(rows[1].memory.weights), rows[1].name,
        static_cast<double>(rows[0].memory.linears) / static_cast<double>(rows[1].memory.linears), rows[0].repetitions);
  return text;
}

Json engine_rows_json(Json machine, std::span<const EngineRow> rows) {
  Json list = Json::array();
  for (const EngineRow& row : rows)
    list.push_back({{"model", row.name},
                    {"prompt_tokens", row.times.prompt_tokens},
                    {"gen_tokens", row.times.gen_tokens},
                    {"prefill_ns", row.times.prefill_seconds * 1e9},
                    {"decode_ns_per_token", row.times.decode_seconds_per_token * 1e9},
                    {"prefill_speedup", row.prefill_ratio},
                    {"decode_speedup", row.decode_ratio},
                    {"weight_bytes", row.memory.weights},
                    {"linear_bytes", row.memory.linears},
                    {"kv_bytes", row.times.kv_bytes},
                    {"workspace_bytes", row.memory.workspace},
                    {"repetitions", row.repetitions}});
  return {{"machine", std::move(machine)}, {"rows", list}};
}

}  // namespace esparse
