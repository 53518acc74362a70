// esparse prune: makes a sparse copy of a model.
#include <algorithm>
#include <chrono>
#include <memory>

#include "base/parallel.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "io/files.h"
#include "prune/prune_model.h"
#include "prune/save_model.h"
#include "report/table.h"
#include "runtime/session.h"
#include "text/corpus.h"

namespace esparse {
namespace {

constexpr int64_t kDefaultSeqlen = 2048;  // Wanda, SparseGPT and E-Sparse

struct PruneCommand {
  CommonOptions common;
  std::string model, output, tokenizer, calib;
  std::string saliency = "esparse", pattern = "2:4", shuffle = "global+local", deal = "snake";
  std::string entropy_range = "channel", norm_reduction = "per_seq";
  double alpha = 1.0, ria_power = 0.5;
  int bins = kEntropyBins;
  int64_t shuffle_block = 256;
  int64_t samples = 128, seqlen = 0;
  uint64_t seed = 0;
  bool force = false;

  Result<Recipe> recipe() const;
  Status check_output_spares_inputs() const;
  Result<std::vector<std::vector<int32_t>>> calibration_windows(const Session& session,
                                                                const std::vector<std::string>& documents,
                                                                int64_t length) const;
  Json report_json(const Recipe& recipe, int64_t length, const PruneReport& report) const;
  Status print(const PruneReport& report, double seconds) const;
  Status run() const;
};

Result<Recipe> PruneCommand::recipe() const {
  Recipe recipe;
  ESPARSE_ASSIGN_OR_RETURN(recipe.saliency, find_saliency(saliency));
  ESPARSE_ASSIGN_OR_RETURN(recipe.pattern, NmPattern::parse(pattern));
  ESPARSE_ASSIGN_OR_RETURN(recipe.shuffle, ShuffleOptions::parse(shuffle));
  ESPARSE_ASSIGN_OR_RETURN(recipe.entropy_range, EntropyRange::parse(entropy_range));
  ESPARSE_ASSIGN_OR_RETURN(recipe.saliency_options.norm_reduction, parse_norm_reduction(norm_reduction));
  recipe.shuffle.deal = deal == "deal" ? DealStyle::deal : DealStyle::snake;
  recipe.shuffle.block = shuffle_block;
  recipe.saliency_options.alpha = alpha;
  recipe.saliency_options.ria_power = ria_power;
  recipe.entropy_bins = bins;
  ESPARSE_RETURN_IF_ERROR(recipe.validate());
  return recipe;
}

Result<std::vector<std::vector<int32_t>>> PruneCommand::calibration_windows(const Session& session,
                                                                            const std::vector<std::string>& documents,
                                                                            int64_t length) const {
  const int64_t positions = session.model->config().max_positions;
  if (length > positions)
    return invalid_argument("--seqlen: the model has {} positions (max_position_embeddings), got {}", positions,
                            length);
  return draw_calibration_windows(documents, *session.tokenizer, samples, length, seed, calib);
}

// --force must not delete what the run reads.
Status PruneCommand::check_output_spares_inputs() const {
  std::error_code ignored;
  const auto target = std::filesystem::weakly_canonical(output, ignored);
  for (const std::string& input : {model, calib, tokenizer}) {
    if (input.empty()) continue;
    const auto source = std::filesystem::weakly_canonical(input, ignored);
    if (std::mismatch(target.begin(), target.end(), source.begin(), source.end()).first == target.end())
      return invalid_argument("-o: {} holds {}, which this run reads; choose another directory", output, input);
  }
  return {};
}

// No times and no machine: the same input gives the same bytes.
Json PruneCommand::report_json(const Recipe& recipe, int64_t length, const PruneReport& report) const {
  Json json = {{"format", 1}, {"esparse_version", "0.1.0"}, {"recipe", recipe.to_json()}};
  if (recipe.saliency->needs.any())
    json["calibration"] = {{"file", std::filesystem::path(calib).filename().string()},
                           {"samples", samples},
                           {"seqlen", length},
                           {"seed", seed}};
  Json linears = Json::array();
  for (const PrunedLinear& linear : report.linears)
    linears.push_back({{"name", linear.name},
                       {"shape", {linear.out_features, linear.in_features}},
                       {"retained_saliency", linear.retained},
                       {"bytes_dense", linear.bytes_dense},
                       {"bytes", linear.bytes_now}});
  json["linears"] = std::move(linears);
  return json;
}

Status PruneCommand::print(const PruneReport& report, double seconds) const {
  int64_t dense = 0, now = 0;
  double retained = 0;
  for (const PrunedLinear& linear : report.linears) {
    dense += linear.bytes_dense;
    now += linear.bytes_now;
    retained += linear.retained / static_cast<double>(report.linears.size());
  }
  if (common.json)
    return print_out(Json{{"output", output},
                          {"linears", report.linears.size()},
                          {"bytes_dense", dense},
                          {"bytes", now},
                          {"retained_saliency", retained},
                          {"seconds", seconds}}
                         .dump(-1, ' ', false, Json::error_handler_t::replace) +
                     "\n");
  Table table({"pruned linears", "pattern", "saliency", "shuffle", "saliency kept", "bytes dense", "bytes now",
               "of dense", "time"});
  table.add_row({format_count(static_cast<int64_t>(report.linears.size())), pattern, saliency, shuffle,
                 fmt::format("{:.2f} %", 100 * retained), format_count(dense), format_count(now),
                 fmt::format("{:.2f} %", 100.0 * static_cast<double>(now) / static_cast<double>(dense)),
                 format_duration(seconds)});
  return print_out(table.text());
}

Status PruneCommand::run() const {
  set_thread_count(common.threads);
  const auto start = std::chrono::steady_clock::now();
  ESPARSE_ASSIGN_OR_RETURN(const Recipe chosen, recipe());
  const bool needs_text = chosen.saliency->needs.any();
  if (needs_text && calib.empty()) return invalid_argument("--calib: saliency '{}' needs a calibration text", saliency);
  ESPARSE_RETURN_IF_ERROR(check_output_spares_inputs());
  ESPARSE_ASSIGN_OR_RETURN(OutputDirectory directory, OutputDirectory::create(output, force));
  std::vector<std::string> documents;  // read first: a mistyped path is noticed before a large model is checked
  if (needs_text) {
    ESPARSE_ASSIGN_OR_RETURN(documents, read_documents(calib));
  }
  ESPARSE_ASSIGN_OR_RETURN(const Session session, open_session(model, tokenizer));
  ESPARSE_RETURN_IF_ERROR(check_prunable(*session.model, chosen));

  const int64_t length = seqlen != 0 ? seqlen : std::min(kDefaultSeqlen, session.model->config().max_positions);
  std::vector<std::vector<int32_t>> windows;
  if (needs_text) {
    ESPARSE_ASSIGN_OR_RETURN(windows, calibration_windows(session, documents, length));
  }
  ESPARSE_ASSIGN_OR_RETURN(const PruneReport report, prune_model(*session.model, chosen, windows));
  ESPARSE_RETURN_IF_ERROR(
      save_pruned_model(*session.model, session.tokenizer_file, report_json(chosen, length, report), directory.path()));
  ESPARSE_RETURN_IF_ERROR(directory.commit());
  return print(report, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

std::string saliency_help() {
  std::string help = "What a weight is worth:";
  for (const SaliencyMethod& method : saliency_methods()) help += fmt::format("\n{} - {}", method.name, method.summary);
  return help;
}

void add_recipe_options(CLI::App& sub, PruneCommand& command) {
  sub.add_option("--saliency", command.saliency, saliency_help())->capture_default_str();
  sub.add_option("--pattern", command.pattern, "N:M, N kept of every M inputs of a row (M <= 32), e.g. 2:4 or 4:8")
      ->capture_default_str();
  sub.add_option("--shuffle", command.shuffle, "Channel shuffle: none, global, local or global+local")
      ->capture_default_str();
  sub.add_option("--alpha", command.alpha, "E-Sparse: weight of the input norm beside the entropy")
      ->capture_default_str();
  sub.add_option("--ria-power", command.ria_power, "RIA: power of the input norm")->capture_default_str();
  sub.add_option("--bins", command.bins, "E-Sparse: histogram bins per channel")->capture_default_str();
  sub.add_option("--entropy-range", command.entropy_range, "E-Sparse: bins over channel, layer or quantile(q)")
      ->capture_default_str();
  sub.add_option("--norm-reduction", command.norm_reduction,
                 "Input norm: sum of squares divided by per_seq, per_token or total (1)")
      ->capture_default_str();
  sub.add_option("--shuffle-block", command.shuffle_block, "Channels searched together by the local shuffle")
      ->capture_default_str()
      ->check(at_least_one());
  sub.add_option("--deal", command.deal, "Global shuffle: snake or deal")
      ->capture_default_str()
      ->check(CLI::IsMember({"snake", "deal"}));
}

}  // namespace

CommandBody add_prune_command(CLI::App& app) {
  auto command = std::make_shared<PruneCommand>();
  CLI::App* sub = app.add_subcommand(
      "prune", "Make a sparse copy of a model (E-Sparse, Wanda, magnitude; N:M with channel shuffle)");
  sub->add_option("MODEL", command->model, "Model directory (Hugging Face), or a llama2.c .bin file")->required();
  sub->add_option("-o,--output", command->output, "Directory to write; refused if it exists, unless --force")
      ->required();
  sub->add_option("--calib", command->calib, "Calibration text: plain text, or JSON lines with a field 'text'");
  add_recipe_options(*sub, *command);
  sub->add_option("--samples", command->samples, "Calibration windows")->capture_default_str()->check(at_least_one());
  sub->add_option("--seqlen", command->seqlen,
                  "Tokens per window (default: 2048, or the model's max_position_embeddings if that is less)")
      ->check(at_least_one());
  sub->add_option("--seed", command->seed, "Seed that draws the windows")->check(not_negative())->capture_default_str();
  sub->add_option("--tokenizer", command->tokenizer, "Tokenizer file or directory (default: the model's own)");
  sub->add_flag("--force", command->force, "Replace an existing output directory");
  add_json_option(*sub, command->common, "output, linears, bytes_dense, bytes, retained_saliency, seconds");
  add_threads_option(*sub, command->common);
  sub->footer(
      "Every linear of the decoder blocks is pruned, block by block; embeddings, norms and the output head stay "
      "dense.\n"
      "The copy is an ordinary model directory whose pruned weights are packed (docs/formats/nm.md).\n\n"
      "Examples:\n"
      "  esparse prune models/novel-1m -o /tmp/sparse --pattern 2:4 --calib models/text/calibration.txt\n"
      "  esparse prune models/novel-1m -o /tmp/wanda --saliency wanda --shuffle none --pattern 4:8 --calib "
      "models/text/calibration.txt\n"
      "  esparse prune models/novel-1m -o /tmp/magnitude --saliency magnitude --shuffle none\n");
  return [command] { return command->run(); };
}

}  // namespace esparse
