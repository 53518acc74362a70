// What a config.json asks for, checked: every size positive and consistent, everything we lack refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "model/rope.h"

namespace esparse {

enum class Family { llama, opt };  // which forward pass: llama.cc or opt.cc
enum class Activation { silu, relu, gelu };

struct ModelConfig {
  std::string model_type;  // "llama", "mistral", "qwen2", "qwen3", "seed_oss", "opt"
  Family family = Family::llama;

  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
  float norm_eps = 1e-5f;
  Activation activation = Activation::silu;
  bool tie_embeddings = false;

  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;                // Qwen3: RMSNorm of every query and key head
  std::vector<int64_t> layer_windows;  // [num_layers] sliding window in tokens, 0 = all
  RopeConfig rope;

  // OPT only.
  int64_t embed_size = 0;   // word_embed_proj_dim
  bool norm_before = true;  // do_layer_norm_before
  bool final_norm = true;
  bool norm_affine = true;  // layer_norm_elementwise_affine

  std::vector<int64_t> eos_ids;

  int64_t q_features() const { return num_heads * head_dim; }
  int64_t kv_features() const { return num_kv_heads * head_dim; }
};

// `label` names the file in errors.
Result<ModelConfig> parse_model_config(const Json& config, const std::string& label);

}  // namespace esparse
