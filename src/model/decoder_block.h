// One decoder block as data. Both families have the same slots, so that calibration and pruning need not know which
// model they work on; the forward passes differ (llama.cc, opt.cc).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/linear_layer.h"

namespace esparse {

struct Norm {
  std::vector<float> gain;  // [hidden_size]; empty: 1
  std::vector<float> bias;  // [hidden_size]; empty: 0 (always for RMSNorm)
};

// Where the linears of a block read their input. Linears at one site see the same activations and share a channel
// order.
enum class InputSite { attention, output, mlp, down };
inline constexpr std::array kInputSites = {InputSite::attention, InputSite::output, InputSite::mlp, InputSite::down};
std::string_view input_site_name(InputSite site);

struct DecoderBlock {
  std::string name;    // "model.layers.0"
  int64_t window = 0;  // sliding window in tokens, 0 = all

  Norm attention_norm, mlp_norm;
  std::vector<float> q_norm, k_norm;  // [head_dim] or empty
  LinearLayer q, k, v;                // [heads * head_dim, hidden], [kv_heads * head_dim, hidden] twice
  LinearLayer o;                      // [hidden, heads * head_dim]
  bool has_gate = false;
  LinearLayer gate;  // [ffn, hidden]; LLaMA family only
  LinearLayer up;    // [ffn, hidden]; OPT: fc1
  LinearLayer down;  // [hidden, ffn]; OPT: fc2

  // Channel orders of the inputs at the sites `attention` and `mlp`: new position k holds channel order[k] of the
  // residual stream. Written by the norm, so they cost nothing; empty = identity. The sites `output` and `down` have
  // no order: theirs is folded into the rows of v and of gate and up.
  std::vector<int32_t> attention_order, mlp_order;

  std::vector<LinearLayer*> linears_at(InputSite site);
  std::vector<const LinearLayer*> linears_at(InputSite site) const;
};

// Sees the input of every linear during a forward pass.
class InputObserver {
 public:
  virtual ~InputObserver() = default;
  // inputs [tokens, in_features], in the order in which the linears at this site see them; valid during the call.
  // False ends the pass here: the hidden states are left as they were before the linears of this site, that is with
  // the attention's part added at `mlp` and `down`.
  virtual bool observe(InputSite site, MatrixView<const float> inputs) = 0;
};

}  // namespace esparse
