// esparse eval: perplexity of a model on a text.
#include <algorithm>
#include <chrono>
#include <memory>

#include "base/parallel.h"
#include "cli/commands.h"
#include "eval/perplexity.h"
#include "io/files.h"
#include "report/table.h"
#include "runtime/session.h"

namespace esparse {
namespace {

constexpr int64_t kDefaultContext = 2048;  // what Wanda and SparseGPT report

struct EvalCommand {
  CommonOptions common;
  std::string model, tokenizer, text;
  int64_t context = 0;
  int64_t max_windows = 0;

  Status run() const;
};

Status EvalCommand::run() const {
  set_thread_count(common.threads);
  ESPARSE_ASSIGN_OR_RETURN(const std::string contents, read_file(text));
  ESPARSE_ASSIGN_OR_RETURN(const Session session, open_session(model, tokenizer, OpenFor::running));
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, session.tokenizer->encode(contents, true));
  if (ids.size() < 2) return invalid_argument("{}: the text has {} tokens, at least 2 are needed", text, ids.size());
  PerplexityOptions options;
  options.context = context != 0 ? context : std::min(kDefaultContext, session.model->config().max_positions);
  options.max_windows = max_windows;

  const auto start = std::chrono::steady_clock::now();
  ESPARSE_ASSIGN_OR_RETURN(const Perplexity p, measure_perplexity(*session.model, ids, options));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (common.json) {
    const Json json = {{"perplexity", p.perplexity},
                       {"nll", p.nll},
                       {"tokens", p.tokens},
                       {"windows", p.windows},
                       {"context", p.context}};
    return print_out(json.dump() + "\n");
  }
  Table table({"perplexity", "nats/token", "tokens", "windows", "context", "tokens/s"});
  table.add_row({fmt::format("{:.4f}", p.perplexity), fmt::format("{:.5f}", p.nll), format_count(p.tokens),
                 format_count(p.windows), format_count(p.context),
                 fmt::format("{:.0f}", static_cast<double>(p.tokens) / seconds)});
  return print_out(table.text());
}

}  // namespace

CommandBody add_eval_command(CLI::App& app) {
  auto command = std::make_shared<EvalCommand>();
  CLI::App* sub = app.add_subcommand("eval", "Measure perplexity on a text, as Wanda and SparseGPT do");
  sub->add_option("MODEL", command->model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  sub->add_option("--text", command->text, "Text file")->required();
  sub->add_option("--context", command->context,
                  "Tokens per window (default: 2048, or the model's max_position_embeddings if that is less)")
      ->check(at_least_one());
  sub->add_option("--max-windows", command->max_windows, "Stop after this many windows")->check(at_least_one());
  sub->add_option("--tokenizer", command->tokenizer, "Tokenizer file or directory (default: the model's own)");
  add_json_option(*sub, command->common, "perplexity, nll, tokens, windows, context");
  add_threads_option(*sub, command->common);
  sub->footer(
      "The text is tokenised once (one BOS at its start where the tokenizer wants it) and cut into non-overlapping "
      "windows;\n"
      "every token of a window but its first is predicted. An incomplete last window is dropped.\n\n"
      "Example:\n  esparse eval models/novel-1m --text models/text/heldout.txt --context 512 --json\n");
  return [command] { return command->run(); };
}

}  // namespace esparse
