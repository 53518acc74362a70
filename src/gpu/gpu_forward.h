// The forward pass on a GPU: the launches of embedding, blocks and head, in the order of the device's stream.
#pragma once

#include <cstdint>
#include <span>

#include "gpu/device.h"
#include "gpu/gpu_model.h"
#include "gpu/gpu_sequence.h"
#include "gpu/gpu_workspace.h"

namespace esparse {

// Every function launches and returns; nothing is allocated, copied from the host or waited for, so that any of it may
// be captured.
class GpuForward {
 public:
  GpuForward(Device& device, const GpuModel& model, const GpuWorkspace& space)
      : device_(device), model_(model), space_(space) {}

  // space.hidden = what the model makes of `tokens` tokens whose ids and positions [tokens] lie on the device.
  Status embed(const int32_t* ids, const int32_t* positions, int64_t tokens);
  // All blocks over space.hidden [tokens], whose rows are the segments one after another, as Model::forward_block()
  // says. Keys and values go to `sequence`.
  Status blocks(const int32_t* positions, std::span<const Segment> segments, const GpuSequence& sequence);
  // The same for one token somewhere in the first splits.context ones.
  Status blocks(const int32_t* position, const DecodeSplits& splits, const GpuSequence& sequence);
  // space.picked = rows `ids` [count] of f32 hidden states; up to kGpuLogitRows.
  Status pick_rows(const DeviceBytes& hidden, const int32_t* ids, int64_t count);
  // logits f32 [rows, vocab_size] = head(final norm(hidden [rows, hidden_size])); rows up to kGpuLogitRows.
  Status logits(const float* hidden, int64_t rows, float* logits);
  // The token that follows sequence.last_logits goes to sequence.step.
  Status best_token(const GpuSequence& sequence, bool advance);

 private:
  struct Attention;  // how a block's attention is launched
  Status run_blocks(int64_t tokens, const Attention& attention, const GpuSequence& sequence);
  Status attend(const GpuBlock& block, int64_t tokens, const Attention& attention, const GpuSequence& sequence,
                int64_t layer);
  Status launch_attention(const GpuBlock& block, int64_t row, int64_t rows, const Attention& attention,
                          const GpuSequence& sequence, int64_t layer);
  Status prepare_heads(const GpuBlock& block, int64_t row, int64_t rows, const int32_t* positions,
                       const GpuSequence& sequence, int64_t layer);
  Status feed_forward(const GpuBlock& block, int64_t tokens);
  // space.x = what a half block reads of space.hidden: normalised first where the model does so.
  Status half_block_input(const GpuNorm& norm, const DeviceBytes& order, int64_t tokens);
  // Normalises space.hidden where the model does so behind a half block.
  Status end_half_block(const GpuNorm& norm, int64_t tokens);
  // y = norm(x) in the order, of `type`; OPT's norm or the LLaMA family's.
  Status normalise(const GpuNorm& norm, const float* x, const int32_t* order, void* y, cuda::Element type,
                   int64_t tokens);
  Status table_rows(const GpuTable& table, const int32_t* ids, int64_t offset, int64_t tokens, int64_t width, void* y,
                    cuda::Element type, bool add);

  const ModelConfig& config() const { return model_.config; }
  cuda::Stream stream() const { return device_.stream(); }

  Device& device_;
  const GpuModel& model_;
  const GpuWorkspace& space_;
};

}  // namespace esparse
