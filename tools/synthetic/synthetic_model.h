// LLaMA models of published shapes with random weights: to measure time and memory without the weights of a real one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "io/checkpoint.h"

namespace esparse {

struct SyntheticShape {
  std::string_view name;
  std::string_view summary;
  int64_t blocks = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  double rope_theta = 10000;
  bool tied = false;
};

std::span<const SyntheticShape> synthetic_shapes();
Result<SyntheticShape> find_synthetic_shape(std::string_view name);

struct SyntheticTensor {
  std::string name;
  std::vector<int64_t> shape;
  double deviation = 0;  // standard deviation of the values; 0: all are 1 (the gain of a norm)
};

// In the order in which they are written: embedding, the first `blocks` blocks, final norm, head. The linears have the
// deviation that keeps activations near 1: 1 / sqrt(in_features), those that write to the residual stream less.
std::vector<SyntheticTensor> synthetic_tensors(const SyntheticShape& shape, int64_t blocks);

// Elements [first, first + values.size()) of a tensor. Each value depends on seed, name and place alone, so the same
// bytes come out on every machine, in pieces of any size, and for any number of blocks.
void fill_synthetic(const SyntheticTensor& tensor, uint64_t seed, int64_t first, std::span<bf16> values);

// config.json. Ids of special tokens are those of models/novel-1m.
Json synthetic_config(const SyntheticShape& shape, int64_t blocks);

// The model in memory.
Result<Checkpoint> synthetic_checkpoint(const SyntheticShape& shape, int64_t blocks, uint64_t seed);

struct SyntheticOptions {
  int64_t blocks = 0;  // 0: all of the shape
  uint64_t seed = 0;
  int64_t shard_bytes = 1'000'000'000;   // a shard ends before the tensor that would exceed it
  std::filesystem::path tokenizer = {};  // directory whose tokenizer files are copied; empty: none
  bool force = false;                    // replace an existing directory
};

// Writes a model directory: shards, index, config.json, tokenizer. Holds a few MB of weights in memory at a time.
Status write_synthetic_model(const SyntheticShape& shape, const SyntheticOptions& options,
                             const std::filesystem::path& directory);

}  // namespace esparse
