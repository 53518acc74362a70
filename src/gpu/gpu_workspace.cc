#include "gpu/gpu_workspace.h"

#include <algorithm>
#include <bit>

#include "kernels/cuda/tokens.h"

namespace esparse {
namespace {

// Enough blocks for every multiprocessor of a large GPU, few enough that adding the splits stays cheap.
constexpr uint64_t kBlocks = 256, kFewestSplits = 8, kMostSplits = 128;
constexpr uint64_t kShortestContext = 1024, kShortestSplit = 64;

}  // namespace

DecodeSplits decode_splits(const ModelConfig& config, int64_t tokens) {
  const uint64_t wanted = std::bit_floor(std::max<uint64_t>(kBlocks / static_cast<uint64_t>(config.num_kv_heads), 1));
  const uint64_t most = std::clamp(wanted, kFewestSplits, kMostSplits);
  const uint64_t context = std::max(std::bit_ceil(static_cast<uint64_t>(tokens)), kShortestContext);
  const uint64_t keys = std::max(context / most, kShortestSplit);
  return {static_cast<int64_t>(context), static_cast<int>(context / keys), static_cast<int>(keys)};
}

Result<GpuWorkspace> GpuWorkspace::make(Device& device, const GpuModel& model, int64_t max_tokens) {
  const ModelConfig& c = model.config;
  const int64_t qkv = c.q_features() + 2 * c.kv_features(),
                wide = model.blocks.empty() ? 0 : model.blocks[0].inner.out_features();
  const int64_t rows = std::max(max_tokens, kGpuLogitRows);
  const int64_t partial = c.num_heads * (c.head_dim + 2) * 4 * decode_splits(c, c.max_positions).splits;
  GpuWorkspace space;
  space.max_tokens = max_tokens;
  const std::pair<DeviceBytes*, int64_t> parts[] = {
      {&space.hidden, max_tokens * c.hidden_size * 4},
      {&space.x, rows * std::max(c.hidden_size, c.embed_size) * 2},
      {&space.qkv, max_tokens * qkv * 4},
      {&space.q, max_tokens * c.q_features() * 4},
      {&space.attended, max_tokens * c.q_features() * 2},
      {&space.inner, rows * std::max(wide, c.embed_size) * 2},
      {&space.active, max_tokens * c.intermediate_size * 2},
      {&space.ids, rows * 4},
      {&space.positions, max_tokens * 4},
      {&space.partial, partial},
      {&space.picked, kGpuLogitRows * c.hidden_size * 4},
      {&space.logits, kGpuLogitRows * c.vocab_size * 4},
      {&space.best, cuda::kBestParts * static_cast<int64_t>(sizeof(cuda::BestPart))}};
  for (const auto& [target, bytes] : parts) {
    ESPARSE_ASSIGN_OR_RETURN(*target, device.allocate(bytes, fmt::format("activations of {} tokens", max_tokens)));
  }
  ESPARSE_ASSIGN_OR_RETURN(space.scratch, make_linear_scratch(device, model.scratch_bytes(device, rows)));
  return space;
}

int64_t GpuWorkspace::bytes() const {
  int64_t bytes = scratch.memory.bytes();
  for (const DeviceBytes* part :
       {&hidden, &x, &qkv, &q, &attended, &inner, &active, &ids, &positions, &partial, &picked, &logits, &best})
    bytes += part->bytes();
  return bytes;
}

}  // namespace esparse
