// Keys and values of one text on a GPU, and what decoding needs to go on from token to token.
#pragma once

#include <map>
#include <memory>

#include "gpu/device.h"
#include "gpu/rotary_table.h"
#include "kernels/cuda/tokens.h"
#include "model/engine.h"

namespace esparse {

// Captured launches of one step of decoding, for the contexts up to some length.
class GpuGraphs {
 public:
  explicit GpuGraphs(const cuda::Runtime& runtime) : runtime_(runtime) {}
  ~GpuGraphs() { clear(); }
  GpuGraphs(const GpuGraphs&) = delete;
  GpuGraphs& operator=(const GpuGraphs&) = delete;

  // Null where there is none.
  cuda::Graph find(int64_t context) const {
    const auto found = graphs_.find(context);
    return found == graphs_.end() ? nullptr : found->second;
  }
  void keep(int64_t context, cuda::Graph graph) { graphs_[context] = graph; }
  void clear() {
    for (const auto& [context, graph] : graphs_) runtime_.destroy_graph(graph);
    graphs_.clear();
  }

 private:
  const cuda::Runtime& runtime_;
  std::map<int64_t, cuda::Graph> graphs_;
};

struct GpuSequence final : Sequence {
  // Of one layer: [kv_heads, capacity, head_dim].
  struct Layer {
    std::byte *keys, *values;
  };
  // `layers` of them; a scratch has one, which serves all layers of the model in turn.
  static Result<std::unique_ptr<GpuSequence>> make(Device& device, const ModelConfig& config, int64_t layers,
                                                   int64_t capacity, cuda::Element type);

  int64_t kv_bytes() const override { return kv.bytes(); }
  Layer layer(int64_t index) const {
    std::byte* keys = kv.data() + (layers == 1 ? 0 : index) * 2 * layer_bytes;
    return {keys, keys + layer_bytes};
  }

  GpuSequence(const cuda::Runtime& runtime, int64_t tokens) : Sequence(tokens), graphs(runtime) {}

  cuda::Element type = cuda::Element::bf16;
  int64_t layers = 0, layer_bytes = 0;  // bytes of the keys of one layer
  int64_t choices = 0;
  DeviceBytes kv;
  DeviceBytes step;                           // cuda::StepState
  cuda::StepState known{-1, -1, 0};           // what `step` holds now, as far as the host knows
  DeviceBytes last_logits;                    // f32 [vocab_size], of the last token of the latest pass
  DeviceBytes hidden;                         // f32 [rows, hidden_size] of the latest pass that all rows are wanted of
  int64_t rows = 0;                           // of the latest pass
  bool all_rows = false;                      // `hidden` holds them; otherwise last_logits is all there is
  std::shared_ptr<const RotaryTable> rotary;  // of at least `capacity` positions
  GpuGraphs graphs;
  int64_t workspace_version = 0;  // that the graphs were captured with
};

}  // namespace esparse
