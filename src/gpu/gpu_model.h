// The weights of a model on a GPU.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "gpu/device.h"
#include "gpu/linear_stack.h"
#include "model/engine.h"
#include "model/model.h"

namespace esparse {

// f32 [hidden_size] each; empty: 1 and 0.
struct GpuNorm {
  DeviceBytes gain, bias;
};

// As DecoderBlock.
struct GpuBlock {
  // Copies a block to the device, its linears as `type` (bf16 or f16). Errors name the tensor, and what memory is
  // short.
  static Result<GpuBlock> upload(Device& device, const DecoderBlock& block, cuda::Element type);
  int64_t bytes() const;         // of device memory
  int64_t linear_bytes() const;  // of these, the linears
  // What products of up to `max_tokens` tokens need in passing.
  int64_t scratch_bytes(int64_t max_tokens) const;

  int64_t window = 0;
  GpuNorm attention_norm, mlp_norm;
  DeviceBytes q_norm, k_norm;              // f32 [head_dim], or empty
  DeviceBytes attention_order, mlp_order;  // int32 [hidden_size], or empty
  LinearStack qkv, o, inner, down;         // inner: gate and up, or up alone
};

// An embedding table, read row by row.
struct GpuTable {
  DeviceBytes owned;  // empty where the head is the table
  const std::byte* data = nullptr;
  cuda::Element type = cuda::Element::f32;
  int64_t stride = 0;  // elements from one row to the next
};

// What linears of the model's blocks are computed in on a GPU: f16 where all are f16, otherwise bf16.
cuda::Element gpu_element(const Model& model);

struct GpuModel {
  // Copies all weights of `model` to the device and gives the checkpoint's pages back as it goes; shows progress.
  // Weights of packed forms must stand as the checkpoint has them. Errors name the tensor, and what memory is short.
  static Result<GpuModel> upload(Device& device, const Model& model);

  ModelConfig config;
  cuda::Element type = cuda::Element::bf16;  // of weights and of the inputs of linears
  std::vector<GpuBlock> blocks;
  GpuTable embedding, positions;
  int64_t position_offset = 0;
  LinearStack project_in, project_out, head;  // projections: of OPT models that have them
  GpuNorm final_norm;
  bool has_final_norm = false;
  EngineMemory memory;  // of weights; no workspace

  // Of all linears: those of the blocks first, then the head and what else there is.
  std::vector<DeviceWeight*> linear_weights();
  bool projects() const { return config.embed_size != config.hidden_size; }
  // What products of up to `max_tokens` tokens need in passing.
  int64_t scratch_bytes(int64_t max_tokens) const;
};

}  // namespace esparse
