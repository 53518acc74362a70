#include "prune/prune_run.h"

#include <algorithm>

#include "base/hash.h"
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

// Everything that decides the result, but for the weights: of each tensor only the beginning is looked at.
uint64_t run_fingerprint(const Model& model, const Recipe& recipe, const PruneRunInputs& inputs) {
  constexpr size_t kBytesPerTensor = 4096;
  Fingerprint fingerprint;
  fingerprint.add(dump(recipe.to_json()));
  fingerprint.add(dump(inputs.facts));
  fingerprint.add(dump(model.checkpoint().config));
  for (const auto& [name, tensor] : model.checkpoint().tensors.tensors()) {
    fingerprint.add(name);
    fingerprint.add(std::as_bytes(std::span(tensor.shape)));
    fingerprint.add(tensor.data.first(std::min(kBytesPerTensor, tensor.data.size())));
  }
  for (const auto& window : inputs.windows) fingerprint.add(std::as_bytes(std::span(window)));
  return fingerprint.value();
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

Status write_state(const fs::path& directory, uint64_t fingerprint, int64_t finished, const PruneReport& report) {
  const Json state = {{"fingerprint", fingerprint}, {"finished_blocks", finished}, {"linears", linears_json(report)}};
  return write_file_atomically(directory / kStateFile, dump(state, 1) + "\n");
}

Result<RunState> read_state(const fs::path& directory, uint64_t fingerprint, int64_t blocks) {
  const fs::path path = directory / kStateFile;
  ESPARSE_ASSIGN_OR_RETURN(const Json json, read_json(path));
  const JsonFields fields(json, path.string());
  if (fields.raw("fingerprint") != Json(fingerprint))
    return invalid_argument(
        "{}: the interrupted run had another model, recipe or calibration text; repeat its command "
        "line, or start over with --force",
        path.string());
  RunState state;
  ESPARSE_ASSIGN_OR_RETURN(state.finished_blocks, fields.integer("finished_blocks"));
  if (state.finished_blocks < 0 || state.finished_blocks > blocks)
    return corruption("{}: finished_blocks: expected 0 to {}, got {}", path.string(), blocks, state.finished_blocks);
  const Json& linears = fields.raw("linears");
  if (!linears.is_array()) return corruption("{}: linears: expected a list", path.string());
  for (const Json& entry : linears) {
    ESPARSE_ASSIGN_OR_RETURN(PrunedLinear linear, parse_linear(entry, path.string()));
    state.report.linears.push_back(std::move(linear));
  }
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
  PruneRun(Model& model, const Recipe& recipe, const PruneRunInputs& inputs, const fs::path& directory)
      : model_(model),
        recipe_(recipe),
        inputs_(inputs),
        directory_(directory),
        fingerprint_(run_fingerprint(model, recipe, inputs)),
        writer_(model, directory) {}

  Status take_over() {
    ESPARSE_ASSIGN_OR_RETURN(state_,
                             read_state(directory_, fingerprint_, static_cast<int64_t>(model_.blocks().size())));
    for (int64_t layer = 0; layer < state_.finished_blocks; ++layer)
      ESPARSE_RETURN_IF_ERROR(writer_.adopt_block(layer));
    return {};
  }

  Result<PruneReport> prune() {
    const fs::path calibration = directory_ / kCalibrationFolder;
    std::error_code error;
    fs::create_directory(calibration, error);
    if (error) return io_error("{}: {}", calibration.string(), error.message());
    PruneJob job;
    job.directory = calibration;
    job.fingerprint = fingerprint_;
    job.one_site_at_a_time = inputs_.one_site_at_a_time;
    job.first_layer = state_.finished_blocks;
    job.finished = std::move(state_.report);
    job.block_done = [this](int64_t layer, const PruneReport& report) -> Status {
      ESPARSE_RETURN_IF_ERROR(writer_.write_block(layer));
      ESPARSE_RETURN_IF_ERROR(write_state(directory_, fingerprint_, layer + 1, report));
      state_.finished_blocks = layer + 1;
      let_go(model_.blocks()[layer]);
      return {};
    };
    auto report = prune_model(model_, recipe_, inputs_.windows, std::move(job));
    if (!report.ok()) return report;
    ESPARSE_RETURN_IF_ERROR(writer_.finish(inputs_.tokenizer_file, report_json(*report)));
    fs::remove_all(calibration, error);
    fs::remove(directory_ / kStateFile, error);
    return report;
  }

  int64_t finished_blocks() const { return state_.finished_blocks; }

 private:
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
  fs::path directory_;
  uint64_t fingerprint_;
  ModelWriter writer_;
  RunState state_;
};

}  // namespace

Result<PruneReport> run_pruning(Model& model, const Recipe& recipe, const PruneRunInputs& inputs,
                                ResumableDirectory& directory, bool resume, bool start_over) {
  PruneRun run(model, recipe, inputs, directory.path());
  const bool has_state = fs::exists(directory.path() / kStateFile);
  if (has_state && resume) {
    ESPARSE_RETURN_IF_ERROR(run.take_over());
  } else if (has_state && !start_over) {
    return invalid_argument("{}: holds an interrupted run; go on with --resume, or start over with --force",
                            directory.path().string());
  } else if (directory.has_leftovers()) {
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
