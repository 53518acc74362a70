// Held-out text under the dense model, and how far another model is from it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "model/model.h"

namespace esparse {

// Means over the predicted tokens, in nats.
struct HeldOutLoss {
  double kl = 0;        // sum over the vocabulary of p_dense log(p_dense / p)
  double nll = 0;       // -log p of the token that follows
  double nll_rise = 0;  // nll - that of the dense model: log of the ratio of the perplexities
};

// Keeps what the dense model computes for the windows: hidden states behind the last block, windows x tokens x
// hidden_size x 4 bytes, and logits where they fit into 256 MiB (otherwise they are computed again every time).
class HeldOut {
 public:
  // Windows of at least 2 ids of the vocabulary, none longer than the model's positions. `dense` must outlive this
  // object and stay as it is. Refuses activations and losses that are not finite.
  static Result<HeldOut> create(const Model& dense, std::vector<std::vector<int32_t>> windows);

  const std::vector<std::vector<int32_t>>& windows() const { return windows_; }
  int64_t predicted_tokens() const { return predicted_; }
  double dense_nll() const { return dense_nll_; }

  // hidden: of every window, behind the last block of a model with the same head and final norm as `dense`. The same
  // bits for any number of threads.
  Result<HeldOutLoss> compare(std::span<const Matrix<float>> hidden) const;
  // Runs the model, which shares vocabulary and head with `dense`, over the windows.
  Result<HeldOutLoss> measure(const Model& model) const;

 private:
  struct Losses;
  HeldOut(const Model& dense, std::vector<std::vector<int32_t>> windows)
      : dense_(&dense), windows_(std::move(windows)) {}
  // Of all windows, behind the last block.
  Result<std::vector<Matrix<float>>> hidden_states(const Model& model) const;
  Losses window_losses(size_t window, MatrixView<const float> hidden) const;

  const Model* dense_;
  std::vector<std::vector<int32_t>> windows_;
  std::vector<Matrix<float>> hidden_;          // of the dense model
  std::vector<Matrix<float>> logits_;          // likewise, or empty
  std::vector<std::vector<double>> log_sums_;  // of these logits, row by row
  int64_t predicted_ = 0;
  double dense_nll_ = 0;
};

}  // namespace esparse
