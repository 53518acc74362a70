// What a model is compared with, token by token: the log-probabilities that the dense model gives, live or from a file.
#pragma once

#include <memory>
#include <span>

#include "base/matrix.h"
#include "base/status.h"
#include "eval/windows.h"
#include "model/engine.h"

namespace esparse {

class Reference {
 public:
  virtual ~Reference() = default;
  virtual int64_t vocab_size() const = 0;
  // Windows come in order.
  virtual Status begin_window(const TextWindow& window, std::span<const int32_t> tokens) = 0;
  // Natural logarithms of the probabilities in front of the scored tokens [first, first + rows) of this window, which
  // are `targets` [rows]: log_probs [rows, vocab_size], and -log p(target) in losses [rows].
  virtual Status read(int64_t first, std::span<const int32_t> targets, MatrixView<float> log_probs,
                      std::span<double> losses) = 0;
};

// Runs a model beside the one that is measured; `engine` must live as long.
std::unique_ptr<Reference> live_reference(Engine& engine, int64_t max_tokens);

// logits [tokens, vocab] -> log-probabilities in place; -log p(target) of each row in `losses` [tokens]. Without
// `in_place` the logits stay as they are.
void to_log_probs(MatrixView<float> logits, std::span<const int32_t> targets, bool in_place, std::span<double> losses);

}  // namespace esparse
