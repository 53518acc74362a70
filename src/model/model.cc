#include "model/model.h"

#include <cstring>

#include "kernels/row_kernels.h"

namespace esparse {

Result<std::unique_ptr<Model>> Model::load(Checkpoint checkpoint) {
  ESPARSE_RETURN_IF_ERROR(check_isa_choice());
  ESPARSE_ASSIGN_OR_RETURN(ModelConfig config, parse_model_config(checkpoint.config, checkpoint.config_label));
  const std::string path = checkpoint.path.string();
  const Family family = config.family;
  auto model = family == Family::opt ? load_opt(std::move(checkpoint), std::move(config))
                                     : load_llama(std::move(checkpoint), std::move(config));
  if (!model.ok()) return model.status().with_context(path);
  return model;
}

void Model::arrange_for_running() {
  for (DecoderBlock& block : blocks_)
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site))
        if (layer->arrange_for_running()) checkpoint_.tensors.release_pages(layer->name() + ".weight.");
}

Status check_token_ids(const ModelConfig& config, std::span<const int32_t> tokens) {
  for (int32_t id : tokens)
    if (id < 0 || id >= config.vocab_size)
      return invalid_argument("token id {}: expected 0 to {} (vocab_size {})", id, config.vocab_size - 1,
                              config.vocab_size);
  return {};
}

Status check_position(const ModelConfig& config, int64_t end, int64_t capacity) {
  if (end > config.max_positions)
    return invalid_argument("position {}: the model has {} positions (max_position_embeddings)", end,
                            config.max_positions);
  if (end > capacity) return internal_error("the KV cache holds {} tokens, {} are needed", capacity, end);
  return {};
}

Result<Matrix<float>> Model::forward(std::span<const int32_t> tokens, KvCache& cache) const {
  const auto count = static_cast<int64_t>(tokens.size()), first = cache.length();
  ESPARSE_RETURN_IF_ERROR(check_token_ids(config_, tokens));
  ESPARSE_RETURN_IF_ERROR(check_position(config_, first + count, cache.capacity()));
  Matrix<float> hidden(count, config_.hidden_size);
  embed(tokens, first, hidden.view());
  for (int64_t layer = 0; layer < config_.num_layers; ++layer)
    forward_block(blocks_[layer], hidden.view(), first, cache.layer(layer), nullptr);
  cache.set_length(first + count);
  return hidden;
}

Result<Matrix<float>> Model::forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                                              KvCache& scratch) const {
  ESPARSE_RETURN_IF_ERROR(check_token_ids(config_, tokens));
  Matrix<float> hidden(static_cast<int64_t>(tokens.size()), config_.hidden_size);
  int64_t row = 0, known = 0;  // known: positions that hold a token of this batch
  for (const Segment& segment : segments) {
    ESPARSE_CHECK(segment.rows > 0 && segment.first_position <= known && row + segment.rows <= hidden.rows());
    known = segment.first_position + segment.rows;
    ESPARSE_RETURN_IF_ERROR(check_position(config_, known, scratch.capacity()));
    embed(tokens.subspan(row, segment.rows), segment.first_position, hidden.view().rows_from(row, segment.rows));
    row += segment.rows;
  }
  ESPARSE_CHECK(row == hidden.rows());
  for (const DecoderBlock& block : blocks_) forward_block(block, hidden.view(), segments, scratch.layer(0), nullptr);
  return hidden;
}

Result<std::vector<int32_t>> load_channel_order(const TensorStore& store, const std::string& name, int64_t channels) {
  std::vector<int32_t> order;
  if (store.find(name) == nullptr) return order;
  ESPARSE_ASSIGN_OR_RETURN(const TensorInfo tensor, store.get(name, {channels}));
  if (tensor.dtype != DType::i32) return corruption("tensor {}: expected I32, got {}", name, dtype_name(tensor.dtype));
  order.resize(channels);
  std::memcpy(order.data(), tensor.data.data(), tensor.data.size());
  std::vector<bool> seen(channels);
  for (int64_t k = 0; k < channels; ++k) {
    if (order[k] < 0 || order[k] >= channels || seen[order[k]])
      return corruption("tensor {}: expected a permutation of {} channels, element {} is {}", name, channels, k,
                        order[k]);
    seen[order[k]] = true;
  }
  return order;
}

void embedding_row(const LinearLayer& table, int64_t id, std::span<float> target) {
  const auto& dense = std::get<DenseView>(table.weight());
  row_kernels().widen(dense.dtype, dense.data + id * dense.row_bytes(), target.data(), dense.in_features);
}

}  // namespace esparse
