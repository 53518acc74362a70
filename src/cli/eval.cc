// esparse eval: perplexity of a model on a text, how far it is from the dense model, and zero-shot tasks.
#include <chrono>
#include <memory>

#include "base/byte_size.h"
#include "base/interrupt.h"
#include "base/parallel.h"
#include "cli/commands.h"
#include "cli/device_option.h"
#include "cli/eval_tables.h"
#include "cli/text_source.h"
#include "eval/eval_json.h"
#include "eval/logits_file.h"
#include "io/files.h"
#include "runtime/session.h"

namespace esparse {
namespace {

struct EvalCommand {
  CommonOptions common;
  DeviceOption device;
  TextSource source;
  TaskSource questions;
  std::string model, tokenizer, against, save_logits, items_file;

  Status run() const;
  Status check_options() const;
  Result<EvalRow> measure_text(Engine& engine, const Tokenizer& words) const;
  Result<std::vector<TaskResult>> measure_tasks(Engine& engine, const Tokenizer& words,
                                                const std::vector<Task>& tasks) const;
  Status print(const Engine& engine, const std::optional<EvalRow>& row, const std::vector<TaskResult>& results) const;
};

// Options that would be passed over in silence.
Status EvalCommand::check_options() const {
  for (const auto& [name, value] : {std::pair{"--against", against}, {"--save-logits", save_logits}})
    if (source.text.empty() && !value.empty()) return invalid_argument("{}: needs a --text", name);
  if (!save_logits.empty() && std::filesystem::path(save_logits).extension() != ".safetensors")
    return invalid_argument("--save-logits: {}: expected a name that ends in .safetensors", save_logits);
  if (questions.tasks.empty() && !items_file.empty()) return invalid_argument("--items: needs --tasks");
  if (questions.tasks.empty() && questions.limit != 0) return invalid_argument("--limit: needs --tasks");
  return {};
}

struct OpenReference {
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Reference> reference;
};

// A file of logits, or a model that runs beside the other.
Result<OpenReference> open_reference(const std::string& path, const PreparedText& text, const DeviceOption& device) {
  OpenReference opened;
  if (std::filesystem::path(path).extension() == ".safetensors") {
    ESPARSE_ASSIGN_OR_RETURN(opened.reference, open_logits(path, text.windows, text.bos, text.conditions()));
    return opened;
  }
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(path));
  ESPARSE_ASSIGN_OR_RETURN(opened.model, Model::load(std::move(checkpoint)));
  if (opened.model->config().max_positions < text.options.context)
    return invalid_argument("--context: {} has {} positions, got {}", path, opened.model->config().max_positions,
                            text.options.context);
  if (!device.on_gpu()) opened.model->arrange_for_running();
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Device> gpu, device.open());
  auto engine = engine_on(std::move(gpu), *opened.model);
  if (!engine.ok()) return engine.status().with_context("--against");
  opened.engine = std::move(engine).value();
  opened.reference = live_reference(*opened.engine, text.options.context);
  return opened;
}

Result<EvalRow> EvalCommand::measure_text(Engine& engine, const Tokenizer& words) const {
  const ModelConfig& config = engine.config();
  EvalRow row;
  ESPARSE_ASSIGN_OR_RETURN(const TextOptions options, source.options());
  ESPARSE_ASSIGN_OR_RETURN(row.text, prepare_text(options, words, config.max_positions));
  PerplexityJob job{.windows = row.text.windows, .bos = row.text.bos};
  OpenReference opened;
  if (!against.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(opened, open_reference(against, row.text, device));
    job.reference = opened.reference.get();
  }
  std::optional<LogitsWriter> writer;
  if (!save_logits.empty()) {
    std::fprintf(stderr, "Writing %s of predictions to %s\n",
                 format_bytes(LogitsWriter::file_bytes(row.text.windows, config.vocab_size)).c_str(),
                 save_logits.c_str());
    auto created =
        LogitsWriter::create(save_logits, row.text.windows, row.text.bos, config.vocab_size, row.text.conditions());
    if (!created.ok()) return created.status().with_context("--save-logits");
    writer.emplace(std::move(created).value());
    job.writer = &*writer;
  }
  const auto start = std::chrono::steady_clock::now();
  ESPARSE_ASSIGN_OR_RETURN(row.measured, measure_perplexity(engine, job));
  row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (writer && row.measured.complete()) ESPARSE_RETURN_IF_ERROR(writer->commit().with_context("--save-logits"));
  return row;
}

Result<std::vector<TaskResult>> EvalCommand::measure_tasks(Engine& engine, const Tokenizer& words,
                                                           const std::vector<Task>& tasks) const {
  ESPARSE_ASSIGN_OR_RETURN(const BosRule rule, parse_bos_rule(source.bos));
  std::vector<TaskResult> results;
  for (const Task& task : tasks) {
    if (interrupted()) break;
    auto result = run_task(engine, words, task, encode_options(words, rule));
    if (!result.ok() && result.status().kind() == StatusKind::interrupted) break;
    if (!result.ok()) return result.status();
    results.push_back(std::move(result).value());
  }
  return results;
}

Status EvalCommand::print(const Engine& engine, const std::optional<EvalRow>& row,
                          const std::vector<TaskResult>& results) const {
  if (!common.json) return print_out((row ? text_table(*row) : "") + task_table(results));
  Json json = row ? perplexity_json(row->text, row->measured) : Json::object();
  if (device.on_gpu()) json["device"] = engine.device_name();
  if (!questions.tasks.empty()) json["tasks"] = Json::array();
  for (const TaskResult& result : results) json["tasks"].push_back(task_json(result));
  return print_out(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Status EvalCommand::run() const {
  set_thread_count(common.threads);
  ESPARSE_RETURN_IF_ERROR(check_options());
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<Task> tasks, questions.read());  // refused before long work
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Device> gpu, device.open());
  ESPARSE_ASSIGN_OR_RETURN(const Session session,
                           open_session(model, tokenizer, gpu ? OpenFor::upload : OpenFor::running));
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, engine_on(std::move(gpu), *session.model));
  const CatchInterrupt guard;
  std::optional<EvalRow> row;
  if (!source.text.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(row, measure_text(*engine, *session.tokenizer));
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<TaskResult> results, measure_tasks(*engine, *session.tokenizer, tasks));
  ESPARSE_RETURN_IF_ERROR(print(*engine, row, results));
  if (!items_file.empty()) {  // last: what was measured is told even where this fails
    std::string lines;
    for (const TaskResult& result : results) lines += item_lines(result);
    ESPARSE_RETURN_IF_ERROR(write_file_atomically(items_file, lines));
  }
  return interrupted() ? Status(StatusKind::interrupted, "interrupted: the figures are of what was done by then")
                       : Status();
}

void add_text_options(CLI::App& sub, EvalCommand& command) {
  command.source.add_options(sub);
  sub.add_option("--against", command.against,
                 "The dense model, or a file that --save-logits wrote: KL divergence, agreement, perplexity ratio")
      ->group("Text");
  sub.add_option("--save-logits", command.save_logits,
                 "Keep what the model predicts in this .safetensors file, for --against; tokens x vocabulary x 2 bytes")
      ->group("Text");
}

void add_task_options(CLI::App& sub, EvalCommand& command) {
  command.questions.add_options(sub);
  sub.add_option("--items", command.items_file, "Write the scores of every item to this file, JSON lines")
      ->group("Zero-shot tasks");
}

}  // namespace

CommandBody add_eval_command(CLI::App& app) {
  auto command = std::make_shared<EvalCommand>();
  CLI::App* sub = app.add_subcommand("eval", "Measure perplexity, distance from the dense model, zero-shot tasks");
  sub->add_option("MODEL", command->model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  add_text_options(*sub, *command);
  add_task_options(*sub, *command);
  sub->add_option("--tokenizer", command->tokenizer, "Tokenizer file or directory (default: the model's own)");
  add_json_option(*sub, command->common,
                  "perplexity, nll (nats per token), their _stderr, bits_per_byte, tokens, windows, context, complete, "
                  "text, against, tasks");
  command->device.add_to(*sub);
  add_threads_option(*sub, command->common);
  sub->callback([command] {
    if (command->source.text.empty() && command->questions.tasks.empty()) throw CLI::RequiredError("--text or --tasks");
  });
  sub->footer(
      "The text is tokenised once and cut into windows; every token of a window but its first is predicted, and an\n"
      "incomplete last window is dropped. An interruption (Ctrl-C) prints what is known so far. Task files and\n"
      "prompts: docs/evaluation.md.\n\n"
      "Examples:\n"
      "  esparse eval models/novel-1m --text models/text/heldout.txt --context 512 --json\n"
      "  esparse eval /tmp/sparse --text models/text/heldout.txt --against models/novel-1m\n"
      "  esparse eval MODEL --text wiki.test.raw --join wikitext --tasks piqa.jsonl,arc_easy.jsonl --limit 500\n");
  return [command] { return command->run(); };
}

}  // namespace esparse
