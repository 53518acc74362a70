// The LLaMA family: LLaMA 1/2/3, Mistral, Qwen2, Qwen3, Seed-OSS.
#include <array>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "model/model.h"

namespace esparse {
namespace {

class LlamaModel final : public Model {
 public:
  LlamaModel(Checkpoint checkpoint, ModelConfig config) : Model(std::move(checkpoint), std::move(config)) {}

  Status load_tensors();
  void embed(std::span<const int32_t> tokens, int64_t first_position, MatrixView<float> hidden) const override;
  using Model::forward_block;
  void forward_block(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments,
                     LayerCache& cache, InputObserver* observer) const override;
  void logits(MatrixView<const float> hidden, MatrixView<float> logits) const override;
  ModelEnds ends() const override;

 private:
  Result<DecoderBlock> load_block(int64_t layer) const;
  // False when the observer ended the pass.
  bool attend(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments, LayerCache& cache,
              InputObserver* observer) const;
  void feed_forward(const DecoderBlock& block, MatrixView<float> hidden, InputObserver* observer) const;

  LinearLayer embedding_;  // [vocab, hidden]
  LinearLayer head_;       // [vocab, hidden]; like the embedding when tied
  Norm final_norm_;
};

Result<DecoderBlock> LlamaModel::load_block(int64_t layer) const {
  const ModelConfig& c = config_;
  const TensorStore& store = checkpoint_.tensors;
  DecoderBlock block;
  block.name = fmt::format("model.layers.{}", layer);
  block.window = c.layer_windows[layer];
  const std::string attention = block.name + ".self_attn.", mlp = block.name + ".mlp.";
  ESPARSE_ASSIGN_OR_RETURN(block.attention_norm.gain,
                           load_f32(store, block.name + ".input_layernorm.weight", {c.hidden_size}));
  ESPARSE_ASSIGN_OR_RETURN(block.mlp_norm.gain,
                           load_f32(store, block.name + ".post_attention_layernorm.weight", {c.hidden_size}));
  ESPARSE_ASSIGN_OR_RETURN(block.q,
                           LinearLayer::load(store, attention + "q_proj", c.q_features(), c.hidden_size, c.qkv_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.k,
                           LinearLayer::load(store, attention + "k_proj", c.kv_features(), c.hidden_size, c.qkv_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.v,
                           LinearLayer::load(store, attention + "v_proj", c.kv_features(), c.hidden_size, c.qkv_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.o,
                           LinearLayer::load(store, attention + "o_proj", c.hidden_size, c.q_features(), c.o_bias));
  if (c.qk_norm) {
    ESPARSE_ASSIGN_OR_RETURN(block.q_norm, load_f32(store, attention + "q_norm.weight", {c.head_dim}));
    ESPARSE_ASSIGN_OR_RETURN(block.k_norm, load_f32(store, attention + "k_norm.weight", {c.head_dim}));
  }
  block.has_gate = true;
  ESPARSE_ASSIGN_OR_RETURN(block.gate,
                           LinearLayer::load(store, mlp + "gate_proj", c.intermediate_size, c.hidden_size, c.mlp_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.up,
                           LinearLayer::load(store, mlp + "up_proj", c.intermediate_size, c.hidden_size, c.mlp_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.down,
                           LinearLayer::load(store, mlp + "down_proj", c.hidden_size, c.intermediate_size, c.mlp_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.attention_order, load_channel_order(store, attention + "input_order", c.hidden_size));
  ESPARSE_ASSIGN_OR_RETURN(block.mlp_order, load_channel_order(store, mlp + "input_order", c.hidden_size));
  return block;
}

Status LlamaModel::load_tensors() {
  const TensorStore& store = checkpoint_.tensors;
  // Of two names for one tensor, some writers keep the other.
  const bool head_alone = config_.tie_embeddings && store.find("model.embed_tokens.weight") == nullptr &&
                          store.find("lm_head.weight") != nullptr;
  ESPARSE_ASSIGN_OR_RETURN(embedding_, LinearLayer::load(store, head_alone ? "lm_head" : "model.embed_tokens",
                                                         config_.vocab_size, config_.hidden_size, false));
  if (embedding_.is_packed()) return unsupported("tensor model.embed_tokens: a packed embedding is not supported");
  if (config_.tie_embeddings) {
    head_ = embedding_;
  } else {
    ESPARSE_ASSIGN_OR_RETURN(head_,
                             LinearLayer::load(store, "lm_head", config_.vocab_size, config_.hidden_size, false));
  }
  ESPARSE_ASSIGN_OR_RETURN(final_norm_.gain, load_f32(store, "model.norm.weight", {config_.hidden_size}));
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    ESPARSE_ASSIGN_OR_RETURN(DecoderBlock block, load_block(layer));
    blocks_.push_back(std::move(block));
  }
  return {};
}

void LlamaModel::embed(std::span<const int32_t> tokens, int64_t, MatrixView<float> hidden) const {
  for (size_t t = 0; t < tokens.size(); ++t) embedding_row(embedding_, tokens[t], hidden.row(t));
}

bool LlamaModel::attend(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments,
                        LayerCache& cache, InputObserver* observer) const {
  const ModelConfig& c = config_;
  const int64_t tokens = hidden.rows;
  Matrix<float> x(tokens, c.hidden_size);  // [tokens, hidden], channels in attention_order
  rms_norm(hidden, block.attention_norm.gain, c.norm_eps, block.attention_order, x.view());
  if (observer && !observer->observe(InputSite::attention, x.view())) return false;

  Matrix<float> q(tokens, c.q_features());                               // [tokens, heads * head_dim]
  Matrix<float> k(tokens, c.kv_features()), v(tokens, c.kv_features());  // [tokens, kv_heads * head_dim]
  linear_group(std::array{block.q.task(q.view()), block.k.task(k.view()), block.v.task(v.view())}, x.view());
  if (c.qk_norm) {
    rms_norm_heads(q.view(), c.head_dim, block.q_norm, c.norm_eps);
    rms_norm_heads(k.view(), c.head_dim, block.k_norm, c.norm_eps);
  }
  const AttentionShape shape{c.num_heads, c.num_kv_heads, c.head_dim, 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
                             block.window};
  Matrix<float> attended(tokens, c.q_features());  // [tokens, heads * head_dim]
  int64_t row = 0;
  for (const auto& [rows, first_position] : segments) {
    const auto queries = q.view().rows_from(row, rows), keys = k.view().rows_from(row, rows);
    const RotaryAngles angles = rotary_angles(c.rope.inverse_frequencies, first_position, rows, c.rope.attention_scale);
    apply_rotary(queries, c.head_dim, angles);
    apply_rotary(keys, c.head_dim, angles);
    cache.keys.store(first_position, keys);
    cache.values.store(first_position, v.view().rows_from(row, rows));
    const int64_t total = first_position + rows;
    causal_attention(shape, queries, cache.keys.first(total), cache.values.first(total),
                     attended.view().rows_from(row, rows));
    row += rows;
  }
  if (observer && !observer->observe(InputSite::output, attended.view())) return false;
  block.o.apply(attended.view(), x.view());
  add(hidden, x.view());
  return true;
}

void LlamaModel::feed_forward(const DecoderBlock& block, MatrixView<float> hidden, InputObserver* observer) const {
  const int64_t tokens = hidden.rows;
  Matrix<float> x(tokens, config_.hidden_size);  // [tokens, hidden], channels in mlp_order
  rms_norm(hidden, block.mlp_norm.gain, config_.norm_eps, block.mlp_order, x.view());
  if (observer && !observer->observe(InputSite::mlp, x.view())) return;
  Matrix<float> gate(tokens, config_.intermediate_size), up(tokens, config_.intermediate_size);  // [tokens, ffn]
  gated_linear(block.gate.task(gate.view()), block.up.task(up.view()), x.view());
  if (observer && !observer->observe(InputSite::down, gate.view())) return;
  block.down.apply(gate.view(), x.view());
  add(hidden, x.view());
}

void LlamaModel::forward_block(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments,
                               LayerCache& cache, InputObserver* observer) const {
  if (attend(block, hidden, segments, cache, observer)) feed_forward(block, hidden, observer);
}

void LlamaModel::logits(MatrixView<const float> hidden, MatrixView<float> logits) const {
  Matrix<float> x(hidden.rows, config_.hidden_size);
  rms_norm(hidden, final_norm_.gain, config_.norm_eps, {}, x.view());
  head_.apply(x.view(), logits);
}

ModelEnds LlamaModel::ends() const {
  return {.embedding = &embedding_, .head = config_.tie_embeddings ? &embedding_ : &head_, .final_norm = &final_norm_};
}

}  // namespace

Result<std::unique_ptr<Model>> load_llama(Checkpoint checkpoint, ModelConfig config) {
  auto model = std::make_unique<LlamaModel>(std::move(checkpoint), std::move(config));
  ESPARSE_RETURN_IF_ERROR(model->load_tensors());
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace esparse
