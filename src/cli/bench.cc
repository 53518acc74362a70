// esparse bench: how fast sparse is here, against dense; single linears, or a whole model.
#include <charconv>
#include <cstdio>
#include <memory>

#include "base/parallel.h"
#include "base/progress.h"
#include "base/timing.h"
#include "bench/bench_report.h"
#include "bench/comma_list.h"
#include "bench/device_rows.h"
#include "bench/engine_rows.h"
#include "bench/linear_rows.h"
#include "bench/machine.h"
#include "cli/commands.h"
#include "cli/device_option.h"
#include "cli/gpu_facts.h"
#include "cli/plan_options.h"
#include "io/files.h"
#include "io/json.h"
#include "kernels/isa.h"

namespace esparse {
namespace {

constexpr double kMachineSeconds = 3;
constexpr int64_t kMaxTokens = 1 << 16;

struct BenchCommand {
  int threads = 0;
  PlanOptions plan;
  DeviceOption device;
  std::string model, against;
  std::string shapes = "llama3-8b", patterns = "2:4", tokens = "1,8,128,512", dtype = "bf16";
  int repetitions = 15;
  double time_limit = 180;
  int64_t prompt_tokens = 512, gen_tokens = 128;
  std::string json_file;
  CLI::Option* json = nullptr;
  CLI::App* app = nullptr;

  Status run() const;
  Status check_options() const;
  Result<LinearBenchOptions> linear_options() const;
  Status run_linears() const;
  Status run_device_linears() const;
  Status run_model() const;
  Result<EngineSubject> open_subject(const std::string& path, std::string& machine, Json& machine_facts) const;
  Status print(const std::string& text, const Json& json) const;
};

Result<std::vector<int64_t>> parse_tokens(std::string_view text) {
  std::vector<int64_t> counts;
  for (const std::string_view entry : split_at_commas(text)) {
    int64_t count = 0;
    const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), count);
    if (error != std::errc() || end != entry.data() + entry.size() || count < 1 || count > kMaxTokens)
      return invalid_argument("--tokens: expected whole numbers from 1 to {}, got \"{}\"", kMaxTokens, entry);
    counts.push_back(count);
  }
  return counts;
}

Result<DType> parse_dtype(std::string_view text) {
  for (const auto& [name, dtype] : {std::pair{"bf16", DType::bf16}, {"f16", DType::f16}, {"f32", DType::f32}})
    if (text == name) return dtype;
  return invalid_argument("--dtype: expected bf16, f16 or f32, got \"{}\"", text);
}

// Options of the other kind of benchmark would be passed over in silence.
Status BenchCommand::check_options() const {
  const bool whole_model = !model.empty();
  for (const char* name : {"--shapes", "--pattern", "--tokens", "--dtype"})
    if (whole_model && app->get_option(name)->count() > 0)
      return invalid_argument("{}: is for single linears, not for a model", name);
  for (const char* name : {"--prompt-tokens", "--gen-tokens", "--against", "--plan-cache", "--default-plan", "--sparse-library"})
    if (!whole_model && app->get_option(name)->count() > 0) return invalid_argument("{}: needs a MODEL", name);
  ESPARSE_RETURN_IF_ERROR(check_plan_options(plan, device.on_gpu()));
  return check_isa_choice();
}

// The table to standard output unless JSON is to go there.
Status BenchCommand::print(const std::string& text, const Json& result) const {
  const std::string dump = result.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (json->count() > 0 && json_file.empty()) return print_out(dump);
  ESPARSE_RETURN_IF_ERROR(print_out(text));
  return json_file.empty() ? Status() : write_file_atomically(json_file, dump);
}

Result<LinearBenchOptions> BenchCommand::linear_options() const {
  LinearBenchOptions options;
  ESPARSE_ASSIGN_OR_RETURN(options.shapes, parse_linear_shapes(shapes));
  ESPARSE_ASSIGN_OR_RETURN(options.patterns, BenchPattern::parse_list(patterns));
  ESPARSE_ASSIGN_OR_RETURN(options.tokens, parse_tokens(tokens));
  ESPARSE_ASSIGN_OR_RETURN(options.dtype, parse_dtype(dtype));
  options.repetitions = repetitions;
  options.budget_seconds = time_limit;
  return options;
}

Progress linears_progress(const LinearBenchOptions& options) {
  return Progress("Measuring linears",
                  static_cast<int64_t>(options.shapes.size() * options.patterns.size() * options.tokens.size()));
}

Status BenchCommand::run_linears() const {
  ESPARSE_ASSIGN_OR_RETURN(const LinearBenchOptions options, linear_options());
  Progress progress = linears_progress(options);
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<LinearRow> rows, bench_linears(options, [&](const LinearRow& row) {
                             progress.advance(1, fmt::format("{} {} {}", row.shape.name, row.pattern, row.tokens));
                           }));
  const Machine machine = measure_machine(kMachineSeconds);
  return print(linear_rows_text(machine, rows), linear_rows_json(machine, rows));
}

// Says in `machine` and `machine_facts` what GPU it is.
Result<EngineSubject> BenchCommand::open_subject(const std::string& path, std::string& machine,
                                                 Json& machine_facts) const {
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Device> gpu, device.open());
  if (!gpu) return open_planned_model(path, plan);
  prepare_gpu(*gpu, plan);
  machine = gpu_line(gpu->info()), machine_facts = gpu_json(gpu->info());
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(path));
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Model> uploaded, Model::load(std::move(checkpoint)));
  EngineSubject subject;
  subject.name = path;
  ESPARSE_ASSIGN_OR_RETURN(subject.engine, engine_on(std::move(gpu), *uploaded, gpu_options(plan)));
  return subject;
}

// The libraries' algorithms are searched and kept, as the yardstick is to be at its best.
Status BenchCommand::run_device_linears() const {
  DeviceBenchOptions options;
  ESPARSE_ASSIGN_OR_RETURN(options.linear, linear_options());
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Device> gpu, device.open());
  prepare_gpu(*gpu, plan);
  Progress progress = linears_progress(options.linear);
  ESPARSE_ASSIGN_OR_RETURN(const DeviceReport report, bench_device(*gpu, options, [&](const DeviceRow& row) {
                             progress.advance(1, fmt::format("{} {} {}", row.shape.name, row.pattern, row.tokens));
                           }));
  show_plan_warnings(gpu->backend());
  return print(device_report_text(report), device_report_json(report));
}

Status BenchCommand::run_model() const {
  std::vector<EngineSubject> subjects;
  std::string machine;
  Json machine_facts;
  for (const std::string& path : {model, against}) {
    if (path.empty()) continue;
    ESPARSE_ASSIGN_OR_RETURN(EngineSubject subject, open_subject(path, machine, machine_facts));
    subjects.push_back(std::move(subject));
  }
  EngineBenchOptions options;
  options.prompt_tokens = prompt_tokens;
  options.gen_tokens = gen_tokens;
  options.repetitions = repetitions;
  options.budget_seconds = time_limit;
  Progress progress("Measuring models", repetitions + 1);
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<EngineRow> rows,
                           bench_engines(subjects, options, [&] { progress.advance(); }));
  if (!device.on_gpu()) {
    const Machine cpu = measure_machine(kMachineSeconds);
    machine = cpu.line(), machine_facts = machine_json(cpu);
  }
  return print(engine_rows_text(machine, rows), engine_rows_json(std::move(machine_facts), rows));
}

Status BenchCommand::run() const {
  set_thread_count(threads);
  ESPARSE_RETURN_IF_ERROR(check_options());
  if (!model.empty()) return run_model();
  return device.on_gpu() ? run_device_linears() : run_linears();
}

void add_options(CLI::App& sub, BenchCommand& command) {
  sub.add_option("MODEL", command.model, "Time a whole model: reading a prompt, then writing token by token");
  sub.add_option("--against", command.against, "Another model, usually the dense one: the two take turns");
  sub.add_option("--prompt-tokens", command.prompt_tokens, "Length of the prompt")
      ->capture_default_str()
      ->check(at_least_one());
  sub.add_option("--gen-tokens", command.gen_tokens, "Tokens written after it")
      ->capture_default_str()
      ->check(at_least_one());
  sub.add_option("--shapes", command.shapes, "Without MODEL: " + known_shape_names() + ", or OUTxIN; several by commas")
      ->capture_default_str();
  sub.add_option("--pattern", command.patterns,
                 "N:M, unstructured:DENSITY, spense:FRACTION[:N:M] (that share of the longer side dense) or dense; "
                 "several by commas")
      ->capture_default_str();
  sub.add_option("--tokens", command.tokens, "Token counts, by commas")->capture_default_str();
  sub.add_option("--dtype", command.dtype, "bf16, f16 or f32")->capture_default_str();
  sub.add_option("--repetitions", command.repetitions, "Turns at most; fewer where they would take too long")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  sub.add_option("--time-limit", command.time_limit, "Seconds that all turns may take, about")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command.json = sub.add_option("--json", command.json_file,
                                "Print one JSON object and nothing else: machine and rows; or write it to FILE")
                     ->type_name("[FILE]")
                     ->expected(0, 1);
  command.device.add_to(sub);
  add_plan_options(sub, command.plan);
  sub.add_option("--threads", command.threads, "Threads to use; 0 = one per physical core")->check(CLI::Range(0, 4096));
}

}  // namespace

CommandBody add_bench_command(CLI::App& app) {
  auto command = std::make_shared<BenchCommand>();
  CLI::App* sub = app.add_subcommand("bench", "Measure sparse against dense: linears of real shapes, or a model");
  command->app = sub;
  add_options(*sub, *command);
  sub->footer(
      "Weights are random and cold. Every kernel is checked before it is timed; sparse and dense take turns, the "
      "ratio\n"
      "is the median over the turns. Dense is the faster of this program and oneDNN; on a GPU it is cuBLASLt's "
      "fastest\n"
      "algorithm.\n\n"
      "Examples:\n  esparse bench --shapes llama3-8b --pattern 2:4,6:8 --tokens 1,512 --json result.json\n"
      "  esparse bench --device cuda --shapes llama3-8b,qwen2.5-7b --pattern 2:4,spense:0.25 --tokens 1,16,64,4096\n"
      "  esparse bench SPARSE_MODEL --against DENSE_MODEL --prompt-tokens 512 --gen-tokens 128\n"
      "  esparse bench SPARSE_MODEL --against DENSE_MODEL --device cuda\n");
  return [command] { return command->run(); };
}

}  // namespace esparse
