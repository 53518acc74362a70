// A loaded model: config -> layers -> forward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "io/checkpoint.h"
#include "model/config.h"
#include "model/decoder_block.h"
#include "model/kv_cache.h"

namespace esparse {

// Consecutive rows of a batch: the tokens of one sequence at positions first_position, first_position + 1, ...
struct Segment {
  int64_t rows = 0;
  int64_t first_position = 0;
};

// What stands in front of the blocks and behind them.
struct ModelEnds {
  const LinearLayer* embedding = nullptr;  // [vocab, embed_size], dense
  const LinearLayer* head = nullptr;       // [vocab, embed_size]; the same object as the embedding where they are tied
  // OPT: learned positions [.., hidden_size], that of position p in row p + position_offset; projections where
  // embed_size is not hidden_size. Else null.
  const LinearLayer *positions = nullptr, *project_in = nullptr, *project_out = nullptr;
  int64_t position_offset = 0;
  const Norm* final_norm = nullptr;  // null: none
};

// The forward pass reads the model only, so several caches may be driven at once; changing blocks() meanwhile may not.
class Model {
 public:
  // Every tensor's presence, shape and finiteness is checked; weights stay mapped, but are read from the file again at
  // first use (LinearLayer::load). Errors name file, key or tensor.
  static Result<std::unique_ptr<Model>> load(Checkpoint checkpoint);
  virtual ~Model() = default;

  const ModelConfig& config() const { return config_; }
  const Checkpoint& checkpoint() const { return checkpoint_; }
  std::vector<DecoderBlock>& blocks() { return blocks_; }
  const std::vector<DecoderBlock>& blocks() const { return blocks_; }
  virtual ModelEnds ends() const = 0;
  // Takes what the checkpoint has of block `layer` out of memory, when work is done with it. Weights that are views
  // into the checkpoint stay usable: touching them reads the file again.
  void release_block_pages(int64_t layer) const { checkpoint_.tensors.release_pages(blocks_[layer].name + "."); }
  // Rearranges the packed weights of all blocks for the kernels (LinearLayer::arrange_for_running) and gives back the
  // pages of the checkpoint that they came from. For a model that is only run: one that is pruned or written must not.
  void arrange_for_running();
  // dtype f32, f16 or bf16: what keys and values are rounded to.
  KvCache make_cache(int64_t capacity_tokens, DType dtype = DType::f32) const {
    return {config_.num_layers, capacity_tokens, config_.num_kv_heads, config_.head_dim, dtype};
  }
  // One layer of it, for forward_segments().
  KvCache make_scratch(int64_t capacity_tokens) const {
    return {1, capacity_tokens, config_.num_kv_heads, config_.head_dim, DType::f32};
  }

  // hidden [tokens, hidden_size] = embeddings of tokens at positions first_position ...; ids must be in the vocabulary.
  virtual void embed(std::span<const int32_t> tokens, int64_t first_position, MatrixView<float> hidden) const = 0;

  // Runs `block`, one of blocks() or a copy of one, in place over hidden [tokens, hidden_size], whose rows are the
  // segments one after another. Segment by segment, keys and values are written to the rows of the cache that its
  // positions name, and its tokens see the rows [0, end of the segment): what stood there before, or what an earlier
  // segment wrote. So a prefix and several continuations that begin at the same position run as one batch, each
  // continuation overwriting the one before. observer may be null.
  virtual void forward_block(const DecoderBlock& block, MatrixView<float> hidden, std::span<const Segment> segments,
                             LayerCache& cache, InputObserver* observer) const = 0;
  // The same for one segment.
  void forward_block(const DecoderBlock& block, MatrixView<float> hidden, int64_t first_position, LayerCache& cache,
                     InputObserver* observer) const {
    const Segment all{hidden.rows, first_position};
    forward_block(block, hidden, std::span(&all, 1), cache, observer);
  }

  // logits [tokens, vocab_size] = head(final norm(hidden)).
  virtual void logits(MatrixView<const float> hidden, MatrixView<float> logits) const = 0;

  // All blocks over new tokens behind those in the cache; returns the hidden states [tokens, hidden_size] for logits().
  // Errors: an id outside the vocabulary, no room in the cache, a position the model does not have.
  Result<Matrix<float>> forward(std::span<const int32_t> tokens, KvCache& cache) const;

  // All blocks over segments of tokens, each row once, as forward_block() says. `scratch` serves all layers in turn and
  // holds at least the last position of any segment; what it held before is lost, so the first segment begins at 0.
  // Errors as above.
  Result<Matrix<float>> forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                                         KvCache& scratch) const;

 protected:
  Model(Checkpoint checkpoint, ModelConfig config) : checkpoint_(std::move(checkpoint)), config_(std::move(config)) {}

  Checkpoint checkpoint_;  // owns the mapped weights
  ModelConfig config_;
  std::vector<DecoderBlock> blocks_;
};

// Refuses ids outside the vocabulary.
Status check_token_ids(const ModelConfig& config, std::span<const int32_t> tokens);
// Refuses to go on to position `end` where the model or a cache of this capacity has none.
Status check_position(const ModelConfig& config, int64_t end, int64_t capacity);

// The optional channel order `<name>` I32 [channels] of the checkpoint, checked to be a permutation; empty when absent.
Result<std::vector<int32_t>> load_channel_order(const TensorStore& store, const std::string& name, int64_t channels);

// Row `id` of an embedding table [vocab, width] as f32.
void embedding_row(const LinearLayer& table, int64_t id, std::span<float> target);

// One constructor per family (llama.cc, opt.cc).
Result<std::unique_ptr<Model>> load_llama(Checkpoint checkpoint, ModelConfig config);
Result<std::unique_ptr<Model>> load_opt(Checkpoint checkpoint, ModelConfig config);

}  // namespace esparse
