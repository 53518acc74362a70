// Runs a Model on the CPU.
#pragma once

#include "model/engine.h"

namespace esparse {

// `model` must live as long, and may not change while a pass runs. The same bits as Model::forward() and
// Model::logits().
class CpuEngine final : public Engine {
 public:
  explicit CpuEngine(const Model& model) : model_(model) {}

  const ModelConfig& config() const override { return model_.config(); }
  std::string device_name() const override;
  EngineMemory memory() const override;
  Result<std::unique_ptr<Sequence>> make_sequence(const SequenceOptions& options) override;
  Result<std::unique_ptr<Sequence>> make_scratch(int64_t capacity) override;
  Status forward(std::span<const int32_t> tokens, Sequence& sequence, LogitsOf wanted) override;
  Status forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                          Sequence& scratch) override;
  using Engine::logits;
  Status logits(std::span<const int64_t> rows, Sequence& sequence, MatrixView<float> logits) override;
  Result<BestToken> best_token(Sequence& sequence) override;

 private:
  const Model& model_;
};

}  // namespace esparse
