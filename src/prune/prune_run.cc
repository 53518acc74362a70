#include "prune/prune_run.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "io/atomic_file.h"
#include "io/files.h"
#include "prune/model_writer.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStateFile = "progress.json";
constexpr const char* kCalibrationFolder = "calibration";

std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void add_model(const Model& model, Fingerprint& fingerprint) {
  constexpr size_t kBytesPerTensor = 4096;
  fingerprint.add(dump(model.checkpoint().config));
  for (const auto& [name, tensor] : model.checkpoint().tensors.tensors()) {
    fingerprint.add(name);
    fingerprint.add(std::as_bytes(std::span(tensor.shape)));
    fingerprint.add(tensor.data.first(std::min(kBytesPerTensor, tensor.data.size())));
  }
}

Json linear_json(const PrunedLinear& linear) {
  Json json = {{"name", linear.name},
               {"pattern", linear.pattern},
               {"shape", {linear.out_features, linear.in_features}},
               {"retained_saliency", linear.retained},
               {"bytes_dense", linear.bytes_dense},
               {"bytes", linear.bytes_now}};
  if (linear.output_error >= 0) {
    json["output_error"] = linear.output_error;
    json["magnitude_error"] = linear.magnitude_error;
  }
  if (linear.damping > 0) json["damping"] = linear.damping;
  if (linear.damping_asked > 0) json["damping_asked"] = linear.damping_asked;
  if (linear.exchanges > 0) json["exchanges"] = linear.exchanges;
  if (linear.layout)
    json["spense"] = {{"split", spense_axis_name(linear.layout->split)},
                      {"pattern", linear.layout->pattern.text()},
                      {"dense", linear.layout->dense}};
  if (linear.shuffle)
    json["shuffle"] = {{"retained_before", linear.shuffle->retained_before},
                       {"retained", linear.shuffle->retained},
                       {"retained_on_searched_rows", linear.shuffle->retained_on_searched_rows}};
  return json;
}

Result<PrunedLinear> parse_linear(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  PrunedLinear linear;
  ESPARSE_ASSIGN_OR_RETURN(linear.name, fields.string("name"));
  ESPARSE_ASSIGN_OR_RETURN(linear.pattern, fields.string("pattern"));
  const Json& shape = fields.raw("shape");
  if (!shape.is_array() || shape.size() != 2 || !shape[0].is_number_integer() || !shape[1].is_number_integer())
    return corruption("{}: shape: expected two numbers", label);
  linear.out_features = shape[0], linear.in_features = shape[1];
  ESPARSE_ASSIGN_OR_RETURN(linear.retained, fields.number("retained_saliency"));
  ESPARSE_ASSIGN_OR_RETURN(linear.bytes_dense, fields.integer("bytes_dense"));
  ESPARSE_ASSIGN_OR_RETURN(linear.bytes_now, fields.integer("bytes"));
  ESPARSE_ASSIGN_OR_RETURN(linear.output_error, fields.number("output_error", -1));
  ESPARSE_ASSIGN_OR_RETURN(linear.magnitude_error, fields.number("magnitude_error", -1));
  ESPARSE_ASSIGN_OR_RETURN(linear.damping, fields.number("damping", 0));
  ESPARSE_ASSIGN_OR_RETURN(linear.damping_asked, fields.number("damping_asked", 0));
  ESPARSE_ASSIGN_OR_RETURN(linear.exchanges, fields.integer("exchanges", 0));
  if (fields.has("spense")) {
    const JsonFields regions(fields.raw("spense"), label);
    ESPARSE_ASSIGN_OR_RETURN(const std::string split, regions.string("split"));
    ESPARSE_ASSIGN_OR_RETURN(const std::string pattern, regions.string("pattern"));
    if (split != spense_axis_name(SpenseSplit::out) && split != spense_axis_name(SpenseSplit::in))
      return corruption("{}: spense: split {:?}: expected {} or {}", label, split, spense_axis_name(SpenseSplit::out),
                        spense_axis_name(SpenseSplit::in));
    linear.layout.emplace();
    linear.layout->split = split == spense_axis_name(SpenseSplit::out) ? SpenseSplit::out : SpenseSplit::in;
    ESPARSE_ASSIGN_OR_RETURN(linear.layout->pattern, NmPattern::parse(pattern));
    ESPARSE_ASSIGN_OR_RETURN(linear.layout->dense, regions.integer("dense"));
  }
  if (fields.has("shuffle")) {
    const JsonFields shares(fields.raw("shuffle"), label);
    linear.shuffle.emplace();
    ESPARSE_ASSIGN_OR_RETURN(linear.shuffle->retained_before, shares.number("retained_before"));
    ESPARSE_ASSIGN_OR_RETURN(linear.shuffle->retained, shares.number("retained"));
    ESPARSE_ASSIGN_OR_RETURN(linear.shuffle->retained_on_searched_rows, shares.number("retained_on_searched_rows"));
  }
  return linear;
}

Json linears_json(const PruneReport& report) {
  Json linears = Json::array();
  for (const PrunedLinear& linear : report.linears) linears.push_back(linear_json(linear));
  return linears;
}

// How far an earlier run came.
struct RunState {
  int64_t finished_blocks = 0;
  PruneReport report;
};

fs::path state_path(const ResumableDirectory& directory) { return directory.working_path() / kStateFile; }

Status write_state(const fs::path& path, uint64_t fingerprint, const RunState& state) {
  const Json json = {{"fingerprint", fingerprint},
                     {"finished_blocks", state.finished_blocks},
                     {"linears", linears_json(state.report)}};
  return write_file_atomically(path, dump(json, 1) + "\n");
}

// Are these the linears of the finished blocks, in their order?
Status check_linears(const RunState& state, const Model& model, const std::string& label) {
  size_t next = 0;
  for (int64_t layer = 0; layer < state.finished_blocks; ++layer)
    for (InputSite site : kInputSites)
      for (const LinearLayer* linear : model.blocks()[layer].linears_at(site)) {
        if (next >= state.report.linears.size() || state.report.linears[next].name != linear->name())
          return corruption("{}: linears: expected {} as number {}", label, linear->name(), next + 1);
        ++next;
      }
  if (next == state.report.linears.size()) return {};
  return corruption("{}: linears: expected {} for {} finished blocks, got {}", label, next, state.finished_blocks,
                    state.report.linears.size());
}

Result<RunState> read_state(const fs::path& path, uint64_t fingerprint, const Model& model) {
  ESPARSE_ASSIGN_OR_RETURN(const Json json, read_json(path));
  const JsonFields fields(json, path.string());
  RunState state;
  ESPARSE_ASSIGN_OR_RETURN(state.finished_blocks, fields.integer("finished_blocks"));
  if (fields.raw("fingerprint") != Json(fingerprint))
    return invalid_argument(
        "{}: the interrupted run had another model, recipe, calibration or device; repeat its command line",
        path.string());
  const auto blocks = static_cast<int64_t>(model.blocks().size());
  if (state.finished_blocks < 1 || state.finished_blocks > blocks)
    return corruption("{}: finished_blocks: expected 1 to {}, got {}", path.string(), blocks, state.finished_blocks);
  const Json& linears = fields.raw("linears");
  if (!linears.is_array()) return corruption("{}: linears: expected a list", path.string());
  for (const Json& entry : linears) {
    ESPARSE_ASSIGN_OR_RETURN(PrunedLinear linear, parse_linear(entry, path.string()));
    state.report.linears.push_back(std::move(linear));
  }
  ESPARSE_RETURN_IF_ERROR(check_linears(state, model, path.string()));
  return state;
}

// Its weights are on the disk now; only the name is still needed.
void let_go(DecoderBlock& block) {
  DecoderBlock empty;
  empty.name = block.name;
  block = std::move(empty);
}

class PruneRun {
 public:
  PruneRun(Model& model, const Recipe& recipe, const PruneRunInputs& inputs, const ResumableDirectory& directory)
      : model_(model),
        recipe_(recipe),
        inputs_(inputs),
        output_(directory.path()),
        state_path_(state_path(directory)),
        calibration_(directory.working_path() / kCalibrationFolder),
        fingerprint_(run_fingerprint(model, recipe, inputs)),
        recorder_(inputs.figures_of),
        writer_(model, output_) {}

  Status take_over() {
    ESPARSE_ASSIGN_OR_RETURN(state_, read_state(state_path_, fingerprint_, model_));
    std::set<fs::path> adopted;
    for (int64_t layer = 0; layer < state_.finished_blocks; ++layer) {
      ESPARSE_RETURN_IF_ERROR(writer_.adopt_block(layer));
      adopted.insert(writer_.block_path(layer));
    }
    adopted.insert(output_ / kFiguresFile);
    return remove_all_but(adopted);
  }

  Result<PruneReport> prune() {
    std::error_code error;
    fs::create_directory(calibration_, error);
    if (error) return io_error("{}: {}", calibration_.string(), error.message());
    PruneJob job;
    job.directory = calibration_;
    job.fingerprint = fingerprint_;
    job.one_site_at_a_time = inputs_.one_site_at_a_time;
    job.first_layer = state_.finished_blocks;
    job.finished = state_.report;
    job.recorder = &recorder_;
    job.device = inputs_.device;
    job.block_done = [this](int64_t layer, const PruneReport& report) { return keep_block(layer, report); };
    auto report = prune_model(model_, recipe_, inputs_.windows, std::move(job));
    if (!report.ok()) return report;
    ESPARSE_RETURN_IF_ERROR(writer_.finish(inputs_.tokenizer_file, report_json(*report)));
    fs::remove_all(calibration_, error);  // large; what is left goes at the commit
    return report;
  }

  int64_t finished_blocks() const { return state_.finished_blocks; }

 private:
  // The order matters: once the state says that a block is finished, its shard and the hidden states behind it are
  // safe on the disk.
  Status keep_block(int64_t layer, const PruneReport& report) {
    ESPARSE_RETURN_IF_ERROR(writer_.write_block(layer));
    if (const auto& figures = recorder_.figures(); figures && !fs::exists(output_ / kFiguresFile))
      ESPARSE_RETURN_IF_ERROR(write_file_atomically(output_ / kFiguresFile, dump(figures->to_json()) + "\n"));
    sync_directory(calibration_);
    const RunState reached{layer + 1, report};
    ESPARSE_RETURN_IF_ERROR(write_state(state_path_, fingerprint_, reached));
    state_.finished_blocks = reached.finished_blocks;
    let_go(model_.blocks()[layer]);
    return {};
  }

  // Files that were being written when the earlier run ended, or belong to the end of the work.
  Status remove_all_but(const std::set<fs::path>& kept) const {
    std::error_code error;
    std::vector<fs::path> others;
    for (fs::directory_iterator entry(output_, error); !error && entry != fs::directory_iterator();
         entry.increment(error))
      if (!kept.contains(entry->path())) others.push_back(entry->path());
    for (const fs::path& path : others)
      if (!error) fs::remove_all(path, error);
    if (error) return io_error("{}: cannot remove what an interrupted run left: {}", output_.string(), error.message());
    return {};
  }

  Json report_json(const PruneReport& report) const {
    Json json = inputs_.facts;
    json["recipe"] = recipe_.to_json();
    json["linears"] = linears_json(report);
    if (!report.outlier_percent.empty())
      json["allocation"] = {{"outlier_percent", report.outlier_percent}, {"pattern", report.block_patterns}};
    return json;
  }

  Model& model_;
  const Recipe& recipe_;
  const PruneRunInputs& inputs_;
  fs::path output_, state_path_, calibration_;
  uint64_t fingerprint_;
  FigureRecorder recorder_;
  ModelWriter writer_;
  RunState state_;
};

}  // namespace

uint64_t model_fingerprint(const Model& model) {
  Fingerprint fingerprint;
  add_model(model, fingerprint);
  return fingerprint.value();
}

uint64_t run_fingerprint(const Model& model, const Recipe& recipe, const PruneRunInputs& inputs) {
  Fingerprint fingerprint;
  fingerprint.add(dump(recipe.to_json()));
  fingerprint.add(dump(inputs.facts));
  add_model(model, fingerprint);
  for (const auto& window : inputs.windows) fingerprint.add(std::as_bytes(std::span(window)));
  return fingerprint.value();
}

std::string default_figures_linear(const Model& model, const Recipe& recipe) {
  const auto prunes = [&](const LinearLayer& linear) {
    return recipe.for_linear(linear.name(), recipe.base.target).prunes();
  };
  const std::vector<DecoderBlock>& blocks = model.blocks();
  if (!blocks.empty() && prunes(blocks[blocks.size() / 2].down)) return blocks[blocks.size() / 2].down.name();
  for (const DecoderBlock& block : blocks)
    for (const InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (prunes(*linear)) return linear->name();
  return "";
}

Status check_interrupted(const ResumableDirectory& directory, bool resume, bool start_over) {
  if (resume || start_over || !fs::exists(state_path(directory))) return {};
  return invalid_argument(
      "{}: holds the finished blocks of an interrupted run; go on with --resume, or start over with "
      "--force",
      directory.working_path().string());
}

Result<PruneReport> run_pruning(Model& model, const Recipe& recipe, const PruneRunInputs& inputs,
                                ResumableDirectory& directory, bool resume) {
  PruneRun run(model, recipe, inputs, directory);
  if (resume && fs::exists(state_path(directory))) {
    ESPARSE_RETURN_IF_ERROR(run.take_over().with_context("cannot resume (--force starts over)"));
  } else if (directory.has_leftovers()) {
    std::error_code ignored;
    fs::remove(state_path(directory), ignored);  // first: what it speaks of is about to go
    ESPARSE_RETURN_IF_ERROR(directory.clear());
  }
  auto report = run.prune();
  if (!report.ok()) {
    if (run.finished_blocks() == 0) static_cast<void>(directory.clear());  // nothing worth keeping
    return report;
  }
  ESPARSE_RETURN_IF_ERROR(directory.commit());
  return report;
}

}  // namespace esparse
