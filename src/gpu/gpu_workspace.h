// Activations of one pass on a GPU: allocated once, used by every layer and every pass in turn.
#pragma once

#include <cstdint>

#include "gpu/device.h"
#include "gpu/gpu_model.h"

namespace esparse {

// Splits of the keys when one token is decoded (kernels/cuda/attention.h). They follow from the shape of the model and
// the length of the context, rounded up to a power of two, alone, so that the same text gives the same bits.
struct DecodeSplits {
  int64_t context = 0;  // up to this many tokens
  int splits = 0, split_keys = 0;
};
DecodeSplits decode_splits(const ModelConfig& config, int64_t tokens);

// Logits of this many tokens exist at a time.
inline constexpr int64_t kGpuLogitRows = 128;

struct GpuWorkspace {
  static Result<GpuWorkspace> make(Device& device, const GpuModel& model, int64_t max_tokens);

  int64_t bytes() const;

  int64_t max_tokens = 0;      // of one pass
  DeviceBytes hidden;          // f32 [max_tokens, hidden_size]: the residual stream
  DeviceBytes x;               // 16-bit [max_tokens, the widest input of a linear that a norm or table writes]
  DeviceBytes qkv;             // f32 [max_tokens, q + k + v]
  DeviceBytes q;               // [max_tokens, q] of the type of the keys
  DeviceBytes attended;        // 16-bit [max_tokens, q]
  DeviceBytes inner;           // 16-bit [max_tokens, gate + up, or up]
  DeviceBytes active;          // 16-bit [max_tokens, intermediate_size]
  DeviceBytes ids, positions;  // int32 [max_tokens]
  DeviceBytes partial;         // f32, of decoding's splits
  DeviceBytes picked;          // f32 [kGpuLogitRows, hidden_size]
  DeviceBytes logits;          // f32 [kGpuLogitRows, vocab_size]
  DeviceBytes best;            // cuda::BestPart [kBestParts]
  LinearScratch scratch;
};

}  // namespace esparse
