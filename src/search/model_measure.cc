#include "search/model_measure.h"

#include <algorithm>

#include "bench/engine_rows.h"

namespace esparse {
namespace {

constexpr int64_t kPromptTokens = 16, kGenTokens = 48;

// Decoding over that of the dense model, paired.
Result<double> decode_speedup(std::unique_ptr<Model> pruned, const OpenModel& open_dense) {
  std::vector<EngineSubject> subjects(2);
  subjects[0] = cpu_subject("pruned", std::move(pruned));
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Model> dense, open_dense());
  subjects[1] = cpu_subject("dense", std::move(dense));
  EngineBenchOptions options;
  const int64_t positions = subjects[1].model->config().max_positions;
  options.gen_tokens = std::clamp<int64_t>(positions / 2, 1, kGenTokens);
  options.prompt_tokens = std::clamp<int64_t>(positions - options.gen_tokens, 1, kPromptTokens);
  options.repetitions = 9;
  options.budget_seconds = 60;
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<EngineRow> rows, bench_engines(subjects, options, [] {}));
  return rows[0].decode_ratio;
}

}  // namespace

int64_t tensor_bytes(const TensorStore& store) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : store.tensors()) bytes += static_cast<int64_t>(tensor.data.size());
  return bytes;
}

Result<MeasuredModel> measure_model(const OpenModel& open_dense, const HeldOut& held_out,
                                    const std::filesystem::path& directory, bool with_speed) {
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(directory));
  MeasuredModel measured;
  measured.bytes = tensor_bytes(checkpoint.tensors);
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Model> pruned, Model::load(std::move(checkpoint)));
  pruned->arrange_for_running();
  ESPARSE_ASSIGN_OR_RETURN(measured.divergence, held_out.measure(*pruned));
  if (with_speed) {
    ESPARSE_ASSIGN_OR_RETURN(measured.speedup, decode_speedup(std::move(pruned), open_dense));
  }
  return measured;
}

Result<MeasuredModel> prune_and_measure(const OpenModel& open_dense, const Recipe& recipe, const PruneRunInputs& inputs,
                                        const HeldOut& held_out, const std::filesystem::path& directory,
                                        bool with_speed) {
  {
    ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, open_dense());
    ESPARSE_ASSIGN_OR_RETURN(ResumableDirectory output, ResumableDirectory::open(directory, true));
    ESPARSE_RETURN_IF_ERROR(run_pruning(*model, recipe, inputs, output, true).status());
  }
  return measure_model(open_dense, held_out, directory, with_speed);
}

}  // namespace esparse
