// OPT: learned positions (offset 2), LayerNorm with bias, ReLU or GELU, norm before or after each half of a block.
#include <array>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "model/model.h"

namespace esparse {
namespace {

constexpr int64_t kPositionOffset = 2;  // rows 0 and 1 of embed_positions are never used by causal text

class OptModel final : public Model {
 public:
  OptModel(Checkpoint checkpoint, ModelConfig config) : Model(std::move(checkpoint), std::move(config)) {}

  Status load_tensors();
  void embed(std::span<const int32_t> tokens, int64_t first_position, MatrixView<float> hidden) const override;
  using Model::forward_block;
  void forward_block(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments,
                     LayerCache& cache, InputObserver* observer) const override;
  void logits(MatrixView<const float> hidden, MatrixView<float> logits) const override;
  ModelEnds ends() const override;

 private:
  Result<Norm> load_norm(const std::string& name) const;
  Result<DecoderBlock> load_block(int64_t layer) const;
  bool projects() const { return config_.embed_size != config_.hidden_size; }
  void apply_norm(const Norm& norm, MatrixView<const float> x, std::span<const int32_t> order,
                  MatrixView<float> y) const;
  // What a half block reads: normalised first where the model does so, channels in `order`.
  void half_block_input(const Norm& norm, MatrixView<const float> hidden, std::span<const int32_t> order,
                        MatrixView<float> x) const;
  // hidden += y, normalised afterwards where the model does so.
  void add_half_block(const Norm& norm, MatrixView<const float> y, MatrixView<float> hidden) const;

  LinearLayer embedding_;    // [vocab, embed]
  LinearLayer positions_;    // [max_positions + 2, hidden]
  LinearLayer head_;         // [vocab, embed]
  LinearLayer project_in_;   // [hidden, embed]
  LinearLayer project_out_;  // [embed, hidden]
  Norm final_norm_;
};

Result<Norm> OptModel::load_norm(const std::string& name) const {
  Norm norm;
  if (!config_.norm_affine) return norm;
  ESPARSE_ASSIGN_OR_RETURN(norm.gain, load_f32(checkpoint_.tensors, name + ".weight", {config_.hidden_size}));
  ESPARSE_ASSIGN_OR_RETURN(norm.bias, load_f32(checkpoint_.tensors, name + ".bias", {config_.hidden_size}));
  return norm;
}

Result<DecoderBlock> OptModel::load_block(int64_t layer) const {
  const ModelConfig& c = config_;
  const TensorStore& store = checkpoint_.tensors;
  DecoderBlock block;
  block.name = fmt::format("model.decoder.layers.{}", layer);
  const std::string attention = block.name + ".self_attn.";
  ESPARSE_ASSIGN_OR_RETURN(block.attention_norm, load_norm(block.name + ".self_attn_layer_norm"));
  ESPARSE_ASSIGN_OR_RETURN(block.mlp_norm, load_norm(block.name + ".final_layer_norm"));
  ESPARSE_ASSIGN_OR_RETURN(block.q,
                           LinearLayer::load(store, attention + "q_proj", c.hidden_size, c.hidden_size, c.qkv_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.k,
                           LinearLayer::load(store, attention + "k_proj", c.hidden_size, c.hidden_size, c.qkv_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.v,
                           LinearLayer::load(store, attention + "v_proj", c.hidden_size, c.hidden_size, c.qkv_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.o,
                           LinearLayer::load(store, attention + "out_proj", c.hidden_size, c.hidden_size, c.o_bias));
  ESPARSE_ASSIGN_OR_RETURN(
      block.up, LinearLayer::load(store, block.name + ".fc1", c.intermediate_size, c.hidden_size, c.mlp_bias));
  ESPARSE_ASSIGN_OR_RETURN(
      block.down, LinearLayer::load(store, block.name + ".fc2", c.hidden_size, c.intermediate_size, c.mlp_bias));
  ESPARSE_ASSIGN_OR_RETURN(block.attention_order, load_channel_order(store, attention + "input_order", c.hidden_size));
  ESPARSE_ASSIGN_OR_RETURN(block.mlp_order, load_channel_order(store, block.name + ".fc1.input_order", c.hidden_size));
  return block;
}

Status OptModel::load_tensors() {
  const ModelConfig& c = config_;
  const TensorStore& store = checkpoint_.tensors;
  const std::string root = "model.decoder.";
  ESPARSE_ASSIGN_OR_RETURN(embedding_,
                           LinearLayer::load(store, root + "embed_tokens", c.vocab_size, c.embed_size, false));
  ESPARSE_ASSIGN_OR_RETURN(positions_, LinearLayer::load(store, root + "embed_positions",
                                                         c.max_positions + kPositionOffset, c.hidden_size, false));
  if (embedding_.is_packed() || positions_.is_packed())
    return unsupported("tensor {}embed_tokens or embed_positions: packed embeddings are not supported", root);
  if (c.tie_embeddings) {
    head_ = embedding_;
  } else {
    ESPARSE_ASSIGN_OR_RETURN(head_, LinearLayer::load(store, "lm_head", c.vocab_size, c.embed_size, false));
  }
  if (projects()) {
    ESPARSE_ASSIGN_OR_RETURN(project_in_,
                             LinearLayer::load(store, root + "project_in", c.hidden_size, c.embed_size, false));
    ESPARSE_ASSIGN_OR_RETURN(project_out_,
                             LinearLayer::load(store, root + "project_out", c.embed_size, c.hidden_size, false));
  }
  if (c.final_norm) {
    ESPARSE_ASSIGN_OR_RETURN(final_norm_, load_norm(root + "final_layer_norm"));
  }
  for (int64_t layer = 0; layer < c.num_layers; ++layer) {
    ESPARSE_ASSIGN_OR_RETURN(DecoderBlock block, load_block(layer));
    blocks_.push_back(std::move(block));
  }
  return {};
}

void OptModel::embed(std::span<const int32_t> tokens, int64_t first_position, MatrixView<float> hidden) const {
  const auto count = static_cast<int64_t>(tokens.size());
  Matrix<float> words(count, config_.embed_size);  // [tokens, embed]
  for (int64_t t = 0; t < count; ++t) embedding_row(embedding_, tokens[t], words.row(t));
  Matrix<float> positions(count, config_.hidden_size);  // [tokens, hidden]
  for (int64_t t = 0; t < count; ++t) embedding_row(positions_, first_position + t + kPositionOffset, positions.row(t));
  if (projects()) {
    project_in_.apply(words.view(), hidden);
  } else {
    std::copy(words.values().begin(), words.values().end(), hidden.data);
  }
  add(hidden, positions.view());
}

void OptModel::apply_norm(const Norm& norm, MatrixView<const float> x, std::span<const int32_t> order,
                          MatrixView<float> y) const {
  layer_norm(x, norm.gain, norm.bias, config_.norm_eps, order, y);
}

void OptModel::half_block_input(const Norm& norm, MatrixView<const float> hidden, std::span<const int32_t> order,
                                MatrixView<float> x) const {
  if (config_.norm_before) {
    apply_norm(norm, hidden, order, x);
  } else if (order.empty()) {
    for (int64_t t = 0; t < hidden.rows; ++t) std::copy(hidden.row(t).begin(), hidden.row(t).end(), x.row(t).begin());
  } else {
    gather_channels(hidden, order, x);
  }
}

void OptModel::add_half_block(const Norm& norm, MatrixView<const float> y, MatrixView<float> hidden) const {
  add(hidden, y);
  if (config_.norm_before) return;
  Matrix<float> normalised(hidden.rows, hidden.cols);
  apply_norm(norm, hidden, {}, normalised.view());
  for (int64_t t = 0; t < hidden.rows; ++t)
    std::copy(normalised.row(t).begin(), normalised.row(t).end(), hidden.row(t).begin());
}

void OptModel::forward_block(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments,
                             LayerCache& cache, InputObserver* observer) const {
  const ModelConfig& c = config_;
  const int64_t tokens = hidden.rows;
  Matrix<float> x(tokens, c.hidden_size);  // [tokens, hidden]
  half_block_input(block.attention_norm, hidden, block.attention_order, x.view());
  if (observer && !observer->observe(InputSite::attention, x.view())) return;
  // [tokens, heads * head_dim]
  Matrix<float> q(tokens, c.hidden_size), k(tokens, c.hidden_size), v(tokens, c.hidden_size);
  Matrix<float> attended(tokens, c.hidden_size);
  linear_group(std::array{block.q.task(q.view()), block.k.task(k.view()), block.v.task(v.view())}, x.view());
  const AttentionShape shape{c.num_heads, c.num_heads, c.head_dim, 1.0f / std::sqrt(static_cast<float>(c.head_dim)), 0};
  int64_t row = 0;
  for (const auto& [rows, first_position] : segments) {
    cache.keys.store(first_position, k.view().rows_from(row, rows));
    cache.values.store(first_position, v.view().rows_from(row, rows));
    const int64_t total = first_position + rows;
    causal_attention(shape, q.view().rows_from(row, rows), cache.keys.first(total), cache.values.first(total),
                     attended.view().rows_from(row, rows));
    row += rows;
  }
  if (observer && !observer->observe(InputSite::output, attended.view())) return;
  block.o.apply(attended.view(), x.view());
  add_half_block(block.attention_norm, x.view(), hidden);

  half_block_input(block.mlp_norm, hidden, block.mlp_order, x.view());
  if (observer && !observer->observe(InputSite::mlp, x.view())) return;
  Matrix<float> inner(tokens, c.intermediate_size);  // [tokens, ffn]
  block.up.apply(x.view(), inner.view());
  c.activation == Activation::relu ? relu(inner.view()) : gelu(inner.view());
  if (observer && !observer->observe(InputSite::down, inner.view())) return;
  block.down.apply(inner.view(), x.view());
  add_half_block(block.mlp_norm, x.view(), hidden);
}

void OptModel::logits(MatrixView<const float> hidden, MatrixView<float> logits) const {
  Matrix<float> x(hidden.rows, config_.hidden_size);
  if (config_.final_norm) {
    apply_norm(final_norm_, hidden, {}, x.view());
  } else {
    for (int64_t t = 0; t < hidden.rows; ++t) std::copy(hidden.row(t).begin(), hidden.row(t).end(), x.row(t).begin());
  }
  if (!projects()) return head_.apply(x.view(), logits);
  Matrix<float> words(hidden.rows, config_.embed_size);
  project_out_.apply(x.view(), words.view());
  head_.apply(words.view(), logits);
}

ModelEnds OptModel::ends() const {
  return {.embedding = &embedding_,
          .head = config_.tie_embeddings ? &embedding_ : &head_,
          .positions = &positions_,
          .project_in = projects() ? &project_in_ : nullptr,
          .project_out = projects() ? &project_out_ : nullptr,
          .position_offset = kPositionOffset,
          .final_norm = config_.final_norm ? &final_norm_ : nullptr};
}

}  // namespace

Result<std::unique_ptr<Model>> load_opt(Checkpoint checkpoint, ModelConfig config) {
  auto model = std::make_unique<OptModel>(std::move(checkpoint), std::move(config));
  ESPARSE_RETURN_IF_ERROR(model->load_tensors());
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace esparse
