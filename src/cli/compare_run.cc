#include "cli/compare_run.h"

#include <algorithm>
#include <chrono>

#include "base/interrupt.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/timing.h"
#include "cli/compare_store.h"
#include "eval/perplexity.h"
#include "eval/task_result.h"
#include "io/files.h"
#include "kernels/isa.h"
#include "model/cpu_engine.h"
#include "prune/prune_run.h"
#include "report/published_results.h"
#include "report/table.h"
#include "runtime/session.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

// "sparsegpt-2-4-1f3a..." for the directory of a candidate.
std::string directory_name(const std::string& name, uint64_t fingerprint) {
  std::string plain = name;
  std::ranges::replace_if(
      plain, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '-');
  return fmt::format("{}-{:016x}", plain, fingerprint);
}

Json strings_json(const Conditions& conditions) {
  Json json = Json::object();
  for (const auto& [key, value] : conditions) json[key] = value;
  return json;
}

TextFigures figures_of(const Perplexity& measured) {
  TextFigures figures;
  figures.nll = measured.nll;
  figures.perplexity = measured.perplexity;
  if (!measured.divergence) return figures;
  const Divergence& divergence = *measured.divergence;
  figures.nats_more = divergence.nll_difference;
  figures.kl = divergence.kl;
  figures.kl_p99 = divergence.kl_p99;
  figures.same_top = divergence.same_top.mean;
  return figures;
}

ComparedTask figures_of(const TaskResult& result) {
  const bool by_length = result.acc_norm.has_value();
  return {std::string(result.spec->title), by_length ? "acc_norm" : "acc", by_length ? *result.acc_norm : result.acc};
}

SpeedFigures figures_of(const EngineRow& row) {
  return {.linear_bytes = row.memory.linears,
          .weight_bytes = row.memory.weights,
          .prefill_speedup = row.prefill_ratio,
          .decode_speedup = row.decode_ratio,
          .prefill_tokens_per_second = static_cast<double>(row.times.prompt_tokens) / row.times.prefill_seconds,
          .decode_tokens_per_second = 1 / row.times.decode_seconds_per_token,
          .turns = row.repetitions};
}

class Comparison {
 public:
  Comparison(const CompareJob& job, CompareStore store, Session dense, std::vector<Task> tasks)
      : job_(job), store_(std::move(store)), dense_(std::move(dense)), tasks_(std::move(tasks)) {}

  Status prepare();
  Status run();
  CompareOutcome take() { return std::move(outcome_); }

 private:
  struct Subject {  // one model that is measured
    uint64_t fingerprint = 0;
    std::string path;
    ComparedModel facts;
  };

  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) const {
    if (!job_.quiet) fmt::print(stderr, format, std::forward<Args>(args)...);
  }

  Result<PruneRunInputs> inputs_of(const CompareCandidate& candidate, const Session& session) const;
  Status prune(const CompareCandidate& candidate, Subject& subject);
  Status keep_times(uint64_t fingerprint, double seconds, const PruneReport& report) const;
  Status measure_text(Subject& subject);
  Status measure_tasks(Subject& subject);
  Status measure_speed(Subject& subject);
  // Loads it at the first call.
  Result<const Session*> session_of(const Subject& subject);
  void add_published(Subject& subject, const std::string& recipe) const;
  void finish(Subject subject);
  void finish_dense();
  void describe();
  EngineBenchOptions bench_options() const;

  const CompareJob& job_;
  CompareStore store_;
  Session dense_;
  std::vector<Task> tasks_;
  std::vector<std::vector<int32_t>> windows_;  // calibration; drawn once
  PreparedText text_;
  Json measured_with_;  // what the figures of a text depend on beside the model
  Subject dense_subject_;
  std::string open_path_;
  Session open_;
  std::vector<SpeedFigures> dense_speeds_;  // one a pair
  CompareOutcome outcome_;
};

// All that can be refused is refused here, before long work.
Status Comparison::prepare() {
  const int64_t positions = dense_.model->config().max_positions;
  ESPARSE_ASSIGN_OR_RETURN(const TextOptions options, job_.text.options());
  ESPARSE_ASSIGN_OR_RETURN(text_, prepare_text(options, *dense_.tokenizer, positions));
  const EngineBenchOptions bench = bench_options();
  if (job_.timed && bench.prompt_tokens + bench.gen_tokens > positions)
    return invalid_argument("--prompt-tokens, --gen-tokens: the model has {} positions, got {} and {}", positions,
                            bench.prompt_tokens, bench.gen_tokens);
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<std::string> documents, job_.calibration.documents());
  bool calibrated = false;
  for (const CompareCandidate& candidate : job_.candidates) {
    const Status prunable = check_prunable(*dense_.model, candidate.recipe);
    if (!prunable.ok()) return prunable.with_context(candidate.name);
    calibrated |= needs_calibration(*dense_.model, candidate.recipe);
  }
  if (calibrated) {
    ESPARSE_ASSIGN_OR_RETURN(windows_, job_.calibration.windows(dense_, documents));
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::string tokenizer, read_file(dense_.tokenizer_file));
  measured_with_ = {{"dense", model_fingerprint(*dense_.model)},
                    {"tokenizer", sha256_hex(tokenizer)},
                    {"isa", isa_name(current_isa())}};
  describe();
  return {};
}

EngineBenchOptions Comparison::bench_options() const {
  constexpr int64_t kPrompt = 512, kWritten = 128;
  const int64_t positions = dense_.model->config().max_positions;
  EngineBenchOptions options = job_.bench;
  if (options.gen_tokens == 0) options.gen_tokens = std::min(kWritten, std::max<int64_t>(positions / 4, 1));
  if (options.prompt_tokens == 0)
    options.prompt_tokens = std::clamp<int64_t>(positions - options.gen_tokens, 1, kPrompt);
  return options;
}

void Comparison::describe() {
  NamedTexts& conditions = outcome_.conditions;
  conditions.emplace_back(
      "text", fmt::format("{} (sha256 {})", text_.options.file.filename().string(), text_.sha256.substr(0, 16)));
  conditions.emplace_back("windows", fmt::format("{} of {} tokens, {}; join {}, bos {}", text_.windows.size(),
                                                 text_.options.context, windows_text(text_),
                                                 join_rule_name(text_.options.join), bos_rule_name(text_.options.bos)));
  if (!windows_.empty())
    conditions.emplace_back(
        "calibration",
        fmt::format("{}: {} windows of {} tokens, seed {}", fs::path(job_.calibration.calib).filename().string(),
                    windows_.size(), job_.calibration.window_tokens(*dense_.model), job_.calibration.seed));
  for (const Task& task : tasks_)
    conditions.emplace_back(std::string(task.spec->title),
                            task.path.filename().string() +
                                (job_.tasks.limit > 0 ? fmt::format(", the first {} items", job_.tasks.limit) : ""));
  if (!job_.timed) return;
  const EngineBenchOptions bench = bench_options();
  conditions.emplace_back("machine", store_.machine());
  conditions.emplace_back("speed", fmt::format("{} tokens read, then {} written; medians of at most {} turns, dense "
                                               "and pruned taking turns",
                                               bench.prompt_tokens, bench.gen_tokens, bench.repetitions));
}

Result<PruneRunInputs> Comparison::inputs_of(const CompareCandidate& candidate, const Session& session) const {
  const bool calibrated = needs_calibration(*session.model, candidate.recipe);
  PruneRunInputs inputs;
  inputs.facts = job_.calibration.facts(*session.model, calibrated);
  inputs.tokenizer_file = session.tokenizer_file;
  inputs.figures_of = default_figures_linear(*session.model, candidate.recipe);
  if (calibrated) inputs.windows = windows_;
  return inputs;
}

Status Comparison::keep_times(uint64_t fingerprint, double seconds, const PruneReport& report) const {
  PruneTimes times{seconds, {}};
  for (const PrunedLinear& linear : report.linears) times.linears[linear.name] = linear.seconds;
  return store_.keep_prune_times(fingerprint, times);
}

// Into a directory named after everything that decides the result: one that is there is that result.
Status Comparison::prune(const CompareCandidate& candidate, Subject& subject) {
  ESPARSE_ASSIGN_OR_RETURN(PruneRunInputs inputs, inputs_of(candidate, dense_));
  subject.fingerprint = run_fingerprint(*dense_.model, candidate.recipe, inputs);
  const fs::path directory = job_.work / directory_name(candidate.name, subject.fingerprint);
  subject.path = directory.string();
  if (!fs::exists(directory)) {
    ESPARSE_ASSIGN_OR_RETURN(ResumableDirectory output, ResumableDirectory::open(directory, false));
    const bool resume = !check_interrupted(output, false, false).ok();
    say("{}: {}\n", candidate.name, resume ? "going on with an interrupted pruning" : "pruning");
    // A model of its own: pruning uses it up.
    ESPARSE_ASSIGN_OR_RETURN(Session session, open_session(job_.model, job_.tokenizer, OpenFor::pruning));
    const auto start = std::chrono::steady_clock::now();
    ESPARSE_ASSIGN_OR_RETURN(const PruneReport report,
                             run_pruning(*session.model, candidate.recipe, inputs, output, resume));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (!resume) ESPARSE_RETURN_IF_ERROR(keep_times(subject.fingerprint, seconds.count(), report));
  }
  PruneTimes times = store_.prune_times(subject.fingerprint);
  subject.facts.prune_seconds = times.seconds;
  outcome_.pruned[candidate.name] = {directory, std::move(times.linears)};
  return {};
}

Result<const Session*> Comparison::session_of(const Subject& subject) {
  if (subject.facts.is_dense()) return &dense_;
  if (open_path_ != subject.path) {
    ESPARSE_ASSIGN_OR_RETURN(open_, open_session(subject.path, dense_.tokenizer_file, OpenFor::running));
    open_path_ = subject.path;
  }
  return &open_;
}

Status Comparison::measure_text(Subject& subject) {
  const Json key = {{"figures", "text"},
                    {"model", subject.fingerprint},
                    {"with", measured_with_},
                    {"text", strings_json(text_.conditions())}};
  if (auto kept = store_.find<TextFigures>(key)) {
    subject.facts.text = *kept;
    return {};
  }
  say("{}: perplexity\n", subject.facts.name);
  ESPARSE_ASSIGN_OR_RETURN(const Session* session, session_of(subject));
  PerplexityJob job{.windows = text_.windows, .bos = text_.bos};
  CpuEngine engine(*session->model), dense(*dense_.model);
  const auto reference = live_reference(dense, text_.options.context);
  if (!subject.facts.is_dense()) job.reference = reference.get();
  ESPARSE_ASSIGN_OR_RETURN(const Perplexity measured, measure_perplexity(engine, job));
  if (!measured.complete()) return Status(StatusKind::interrupted, "interrupted");
  subject.facts.text = figures_of(measured);
  return store_.keep(key, subject.facts.text);
}

Status Comparison::measure_tasks(Subject& subject) {
  for (const Task& task : tasks_) {
    const Json key = {{"figures", "task"},          {"model", subject.fingerprint},
                      {"with", measured_with_},     {"task", task.spec->name},
                      {"sha256", task.file_sha256}, {"bos", bos_rule_name(text_.options.bos)},
                      {"limit", job_.tasks.limit}};
    auto kept = store_.find<ComparedTask>(key);
    if (!kept) {
      say("{}: {}\n", subject.facts.name, task.spec->title);
      ESPARSE_ASSIGN_OR_RETURN(const Session* session, session_of(subject));
      CpuEngine engine(*session->model);
      ESPARSE_ASSIGN_OR_RETURN(
          const TaskResult result,
          run_task(engine, *session->tokenizer, task, encode_options(*session->tokenizer, text_.options.bos)));
      if (!result.complete()) return Status(StatusKind::interrupted, "interrupted");
      kept = figures_of(result);
      ESPARSE_RETURN_IF_ERROR(store_.keep(key, *kept));
    }
    subject.facts.tasks.push_back(*kept);
  }
  return {};
}

// The pruned and the dense model take turns.
Status Comparison::measure_speed(Subject& subject) {
  const EngineBenchOptions options = bench_options();
  Json key = {{"figures", "speed"},
              {"model", subject.fingerprint},
              {"dense", dense_subject_.fingerprint},
              {"prompt_tokens", options.prompt_tokens},
              {"gen_tokens", options.gen_tokens},
              {"repetitions", options.repetitions},
              {"default_plan", job_.plan.use_default},
              {"on", store_.machine_key()}};
  Json dense_key = key;
  key["of"] = "pruned", dense_key["of"] = "dense";
  auto kept = store_.find<SpeedFigures>(key), kept_dense = store_.find<SpeedFigures>(dense_key);
  if (!kept || !kept_dense) {
    say("{}: speed, in turns with the dense model\n", subject.facts.name);
    std::vector<EngineSubject> subjects;
    for (const std::string& path : {subject.path, job_.model}) {
      ESPARSE_ASSIGN_OR_RETURN(EngineSubject opened, open_planned_model(path, job_.plan));
      subjects.push_back(std::move(opened));
    }
    Progress progress("Measuring speed", options.repetitions + 1);
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<EngineRow> rows,
                             bench_engines(subjects, options, [&] { progress.advance(); }));
    kept = figures_of(rows[0]), kept_dense = figures_of(rows[1]);
    ESPARSE_RETURN_IF_ERROR(store_.keep(key, *kept));
    ESPARSE_RETURN_IF_ERROR(store_.keep(dense_key, *kept_dense));
  }
  subject.facts.speed = *kept;
  dense_speeds_.push_back(*kept_dense);
  return {};
}

void Comparison::add_published(Subject& subject, const std::string& recipe) const {
  const bool adjoining = text_.options.stride + (text_.bos ? 1 : 0) == text_.options.context;
  const MeasuredOn on{.text_sha256 = text_.sha256,
                      .join = std::string(join_rule_name(text_.options.join)),
                      .bos = std::string(bos_rule_name(text_.options.bos)),
                      .context = text_.options.context,
                      .adjoining_windows = adjoining && job_.text.max_windows == 0};
  subject.facts.published =
      published_perplexity(known_model(dense_.model->config()), recipe, subject.facts.pattern, on);
}

void Comparison::finish(Subject subject) { outcome_.models.push_back(std::move(subject.facts)); }

// Its speed is the median over the pairs it was in.
void Comparison::finish_dense() {
  SpeedFigures& speed = dense_subject_.facts.speed;
  if (!dense_speeds_.empty()) {
    const auto middle = [&](double SpeedFigures::*part) {
      std::vector<double> values;
      for (const SpeedFigures& pair : dense_speeds_) values.push_back(pair.*part);
      return median(std::move(values));
    };
    speed = dense_speeds_.front();
    speed.prefill_tokens_per_second = middle(&SpeedFigures::prefill_tokens_per_second);
    speed.decode_tokens_per_second = middle(&SpeedFigures::decode_tokens_per_second);
  } else {
    const EngineMemory memory = CpuEngine(*dense_.model).memory();
    speed.linear_bytes = memory.linears, speed.weight_bytes = memory.weights;
  }
  finish(dense_subject_);
}

Status Comparison::run() {
  ESPARSE_RETURN_IF_ERROR(store_.make_directory());
  dense_subject_.fingerprint = model_fingerprint(*dense_.model);
  dense_subject_.path = job_.model;
  dense_subject_.facts.name = "dense";
  add_published(dense_subject_, "dense");
  {
    const CatchInterrupt guard;
    ESPARSE_RETURN_IF_ERROR(measure_text(dense_subject_));
    ESPARSE_RETURN_IF_ERROR(measure_tasks(dense_subject_));
    if (interrupted()) return Status(StatusKind::interrupted, "interrupted");  // the guard would forget it
  }
  Status status;
  for (const CompareCandidate& candidate : job_.candidates) {
    Subject subject;
    subject.facts.name = candidate.name;
    subject.facts.recipe = candidate.recipe.name;
    subject.facts.pattern = candidate.recipe.base.target.text();
    if (candidate.shipped) add_published(subject, candidate.recipe.name);
    ESPARSE_RETURN_IF_ERROR(prune(candidate, subject));
    {
      const CatchInterrupt guard;
      status = measure_text(subject);
      if (status.ok()) status = measure_tasks(subject);
      if (status.ok() && interrupted()) status = Status(StatusKind::interrupted, "interrupted");
    }
    if (!status.ok()) break;
    if (job_.timed) {
      ESPARSE_RETURN_IF_ERROR(measure_speed(subject));
    } else {
      ESPARSE_ASSIGN_OR_RETURN(const Session* session, session_of(subject));
      const EngineMemory memory = CpuEngine(*session->model).memory();
      subject.facts.speed.linear_bytes = memory.linears, subject.facts.speed.weight_bytes = memory.weights;
    }
    finish(std::move(subject));
  }
  finish_dense();
  outcome_.complete = status.ok();
  sort_by_accuracy(outcome_.models);
  return status.kind() == StatusKind::interrupted ? Status() : status;
}

}  // namespace

Result<CompareOutcome> run_comparison(const CompareJob& job) {
  ESPARSE_ASSIGN_OR_RETURN(std::vector<Task> tasks, job.tasks.read());
  ESPARSE_ASSIGN_OR_RETURN(Session dense, open_session(job.model, job.tokenizer, OpenFor::running));
  ESPARSE_ASSIGN_OR_RETURN(CompareStore store, CompareStore::open(job.work));
  Comparison comparison(job, std::move(store), std::move(dense), std::move(tasks));
  ESPARSE_RETURN_IF_ERROR(comparison.prepare());  // refusals leave nothing behind
  ESPARSE_RETURN_IF_ERROR(comparison.run());
  return comparison.take();
}

}  // namespace esparse
