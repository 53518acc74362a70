#include "model/cpu_engine.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"

namespace esparse {
namespace {

struct CpuSequence final : Sequence {
  CpuSequence(int64_t tokens, KvCache kv, int64_t bytes) : Sequence(tokens), cache(std::move(kv)), cache_bytes(bytes) {}
  int64_t kv_bytes() const override { return cache_bytes; }

  KvCache cache;
  int64_t cache_bytes;
  Matrix<float> hidden;  // of the latest pass
  int64_t choices = 0;
};

int64_t layer_bytes(const ModelConfig& config, int64_t tokens, DType dtype) {
  return 2 * tokens * config.kv_features() * dtype_bytes(dtype);
}

CpuSequence& of(Sequence& sequence) { return static_cast<CpuSequence&>(sequence); }

}  // namespace

std::string CpuEngine::device_name() const { return fmt::format("CPU, {} threads", thread_count()); }

EngineMemory CpuEngine::memory() const {
  EngineMemory memory;
  std::vector<std::string> prefixes;
  for (const DecoderBlock& block : model_.blocks())
    for (const InputSite site : kInputSites)
      for (const LinearLayer* layer : block.linears_at(site)) {
        memory.linears += layer->weight_bytes();
        prefixes.push_back(layer->name() + ".weight");
      }
  memory.weights = memory.linears;  // everything else stands as it does in the checkpoint
  for (const auto& [name, tensor] : model_.checkpoint().tensors.tensors()) {
    bool in_linear = false;
    for (const std::string& prefix : prefixes) in_linear |= name == prefix || name.starts_with(prefix + ".");
    if (!in_linear) memory.weights += static_cast<int64_t>(tensor.data.size());
  }
  return memory;
}

Result<std::unique_ptr<Sequence>> CpuEngine::make_sequence(const SequenceOptions& options) {
  const DType dtype = options.kv_dtype.value_or(DType::f32);
  auto sequence = std::make_unique<CpuSequence>(options.capacity, model_.make_cache(options.capacity, dtype),
                                                layer_bytes(config(), options.capacity, dtype) * config().num_layers);
  sequence->choices = options.choices;
  return std::unique_ptr<Sequence>(std::move(sequence));
}

Result<std::unique_ptr<Sequence>> CpuEngine::make_scratch(int64_t capacity) {
  return std::unique_ptr<Sequence>(std::make_unique<CpuSequence>(capacity, model_.make_scratch(capacity),
                                                                 layer_bytes(config(), capacity, DType::f32)));
}

Status CpuEngine::forward(std::span<const int32_t> tokens, Sequence& sequence, LogitsOf) {
  CpuSequence& state = of(sequence);
  state.cache.set_length(state.length());
  ESPARSE_ASSIGN_OR_RETURN(state.hidden, model_.forward(tokens, state.cache));
  state.set_length(state.cache.length());
  return {};
}

Status CpuEngine::forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                                   Sequence& scratch) {
  CpuSequence& state = of(scratch);
  ESPARSE_ASSIGN_OR_RETURN(state.hidden, model_.forward_segments(tokens, segments, state.cache));
  return {};
}

Status CpuEngine::logits(std::span<const int64_t> rows, Sequence& sequence, MatrixView<float> logits) {
  const MatrixView<const float> hidden = std::as_const(of(sequence).hidden).view();
  const auto count = std::ssize(rows);
  bool consecutive = true;
  for (int64_t i = 0; i < count; ++i) {
    ESPARSE_CHECK(rows[i] >= 0 && rows[i] < hidden.rows);
    consecutive = consecutive && rows[i] == rows[0] + i;
  }
  if (consecutive) {
    model_.logits(hidden.rows_from(rows[0], count), logits);
    return {};
  }
  Matrix<float> inputs(count, hidden.cols);
  for (int64_t i = 0; i < count; ++i) std::ranges::copy(hidden.row(rows[i]), inputs.row(i).begin());
  model_.logits(inputs.view(), logits);
  return {};
}

Result<BestToken> CpuEngine::best_token(Sequence& sequence) {
  const CpuSequence& state = of(sequence);
  Matrix<float> logits(1, config().vocab_size);
  ESPARSE_RETURN_IF_ERROR(Engine::logits(state.hidden.rows() - 1, sequence, logits.view()));
  const std::span<const float> values = logits.row(0);
  const auto choices = values.first(static_cast<size_t>(state.choices > 0 ? state.choices : config().vocab_size));
  BestToken best;
  best.id = static_cast<int32_t>(std::ranges::max_element(choices) - choices.begin());
  best.finite = std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
  best.zero = std::ranges::all_of(values, [](float value) { return value == 0.0f; });
  return best;
}

}  // namespace esparse
