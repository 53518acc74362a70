// A model that runs, wherever it runs: on the CPU (cpu_engine.h) or on a GPU (gpu/gpu_engine.h). What generates,
// evaluates and measures times asks an Engine; what changes weights works on a Model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/matrix.h"
#include "base/status.h"
#include "model/config.h"
#include "model/model.h"

namespace esparse {

// Keys and values of one text, and the last hidden states of the latest pass. Belongs to the engine that made it and
// must not outlive it.
class Sequence {
 public:
  explicit Sequence(int64_t capacity) : capacity_(capacity) {}
  virtual ~Sequence() = default;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_; }  // tokens that it holds
  void set_length(int64_t length) { length_ = length; }
  virtual int64_t kv_bytes() const = 0;  // of memory for keys and values

 private:
  int64_t capacity_;
  int64_t length_ = 0;
};

struct SequenceOptions {
  int64_t capacity = 0;           // tokens
  std::optional<DType> kv_dtype;  // f32, f16 or bf16; nothing: the most exact that this engine runs at full speed
  int64_t choices = 0;            // best_token() chooses among the ids below; 0: all of the vocabulary
};

// Of which tokens of a pass logits will be asked for.
enum class LogitsOf { last_token, all_tokens };

struct BestToken {
  int32_t id = 0;                    // of the largest logit, ties to the lower id
  bool finite = true, zero = false;  // of all of the vocabulary's logits
};

// What an engine holds where it runs, in bytes.
struct EngineMemory {
  int64_t weights = 0;
  int64_t linears = 0;    // of these, the linears of the blocks
  int64_t workspace = 0;  // activations, whatever the text; 0 where they come and go
};

// One thread at a time.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const ModelConfig& config() const = 0;
  virtual std::string device_name() const = 0;  // for people: "CPU, 8 threads", "NVIDIA H200"
  virtual EngineMemory memory() const = 0;

  virtual Result<std::unique_ptr<Sequence>> make_sequence(const SequenceOptions& options) = 0;
  // For forward_segments(): holds one layer's keys and values.
  virtual Result<std::unique_ptr<Sequence>> make_scratch(int64_t capacity) = 0;

  // Reads tokens behind those that the sequence holds. Errors: an id outside the vocabulary, no room in the sequence, a
  // position the model does not have.
  virtual Status forward(std::span<const int32_t> tokens, Sequence& sequence, LogitsOf wanted) = 0;
  // All segments as one batch, as Model::forward_segments() says; all rows have logits then.
  virtual Status forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                                  Sequence& scratch) = 0;

  // Of the latest pass over this sequence: logits [rows.size(), vocab_size] of these of its tokens. After
  // LogitsOf::last_token that one alone may be asked for.
  virtual Status logits(std::span<const int64_t> rows, Sequence& sequence, MatrixView<float> logits) = 0;
  // The same of logits.rows tokens from `first` on.
  Status logits(int64_t first, Sequence& sequence, MatrixView<float> logits);
  // What follows the last token of the latest pass, most probably.
  virtual Result<BestToken> best_token(Sequence& sequence) = 0;
};

}  // namespace esparse
