// Runs a model on a GPU.
#pragma once

#include <memory>
#include <vector>

#include "gpu/device.h"
#include "gpu/gpu_forward.h"
#include "gpu/gpu_model.h"
#include "gpu/gpu_sequence.h"
#include "gpu/gpu_workspace.h"
#include "gpu/plan_measurement.h"
#include "gpu/rotary_table.h"
#include "model/engine.h"

namespace esparse {

struct GpuEngineOptions {
  int64_t max_tokens = 2048;    // of one pass; longer texts are read in parts
  bool measure_plans = false;   // choose kernels by measuring (plan_measurement.h); otherwise the default plan
  bool sparse_library = false;  // give 2:4 weights that suit it a copy for the library's sparse product
};

// The same results as the CPU's up to rounding: inputs of linears, keys, values and probabilities are rounded to 16
// bits, sums are f32. The same bits for the same calls. Nothing is allocated per token; one step of decoding is one
// graph launch where the device has graphs.
class GpuEngine final : public Engine {
 public:
  // Copies the model to the device; it is not needed afterwards. Packed weights must stand as the checkpoint has them
  // (no Model::arrange_for_running). Out of memory: says what was to be stored, and how much is free.
  static Result<std::unique_ptr<GpuEngine>> create(std::unique_ptr<Device> device, const Model& model,
                                                   const GpuEngineOptions& options = {});

  const ModelConfig& config() const override { return model_.config; }
  std::string device_name() const override { return device_->info().name; }
  EngineMemory memory() const override;
  // What was measured; empty without measure_plans.
  const std::vector<DevicePlanRow>& plans() const { return plans_; }
  // Without a kv_dtype: that of the weights, bf16 or f16. f32 works, more slowly.
  Result<std::unique_ptr<Sequence>> make_sequence(const SequenceOptions& options) override;
  Result<std::unique_ptr<Sequence>> make_scratch(int64_t capacity) override;
  Status forward(std::span<const int32_t> tokens, Sequence& sequence, LogitsOf wanted) override;
  Status forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                          Sequence& scratch) override;
  using Engine::logits;
  Status logits(std::span<const int64_t> rows, Sequence& sequence, MatrixView<float> logits) override;
  Result<BestToken> best_token(Sequence& sequence) override;

 private:
  GpuEngine(std::unique_ptr<Device> device, GpuModel model) : device_(std::move(device)), model_(std::move(model)) {}

  GpuForward pass() { return {*device_, model_, space_}; }
  Result<std::unique_ptr<GpuSequence>> make(int64_t layers, int64_t capacity, cuda::Element type);
  Status add_library_copies(std::span<DeviceWeight* const> weights);
  Status choose_kernels(const GpuEngineOptions& options, int64_t max_tokens);
  Status ensure_workspace(int64_t max_tokens);
  Status ensure_hidden(GpuSequence& sequence, int64_t rows);
  // Ids and positions go to the workspace, and the blocks run; space_.hidden holds the result.
  Status run(std::span<const int32_t> tokens, std::span<const Segment> segments, GpuSequence& sequence);
  Status decode(int32_t token, GpuSequence& sequence);
  Status launch_step(const DecodeSplits& splits, GpuSequence& sequence);
  Result<cuda::Graph> capture_step(const DecodeSplits& splits, GpuSequence& sequence);
  // Logits of one row of f32 hidden states to sequence.last_logits, and the best token of them.
  Status finish_last(const float* hidden, GpuSequence& sequence);

  std::unique_ptr<Device> device_;
  GpuModel model_;
  std::vector<DevicePlanRow> plans_;
  GpuWorkspace space_;
  int64_t workspace_version_ = 0;
  std::shared_ptr<const RotaryTable> rotary_;
  std::vector<int32_t> host_positions_;
  // Whether a step has run launch by launch, which libraries need before they can be captured; and whether the device
  // has graphs at all.
  bool warm_ = false, has_graphs_ = true;
};

}  // namespace esparse
