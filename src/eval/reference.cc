#include "eval/reference.h"

#include "base/parallel.h"
#include "kernels/elementwise.h"

namespace esparse {
namespace {

class LiveReference final : public Reference {
 public:
  LiveReference(Engine& engine, int64_t max_tokens) : engine_(engine), max_tokens_(max_tokens) {}

  int64_t vocab_size() const override { return engine_.config().vocab_size; }

  Status begin_window(const TextWindow& window, std::span<const int32_t> tokens) override {
    if (sequence_ == nullptr) {
      ESPARSE_ASSIGN_OR_RETURN(sequence_, engine_.make_sequence({.capacity = max_tokens_, .kv_dtype = {}}));
    }
    sequence_->set_length(0);
    ESPARSE_RETURN_IF_ERROR(engine_.forward(tokens, *sequence_, LogitsOf::all_tokens));
    first_row_ = static_cast<int64_t>(tokens.size()) - 1 - window.scored;
    return {};
  }

  Status read(int64_t first, std::span<const int32_t> targets, MatrixView<float> log_probs,
              std::span<double> losses) override {
    ESPARSE_RETURN_IF_ERROR(engine_.logits(first_row_ + first, *sequence_, log_probs));
    to_log_probs(log_probs, targets, true, losses);
    return {};
  }

 private:
  Engine& engine_;
  int64_t max_tokens_;
  std::unique_ptr<Sequence> sequence_;
  int64_t first_row_ = 0;
};

}  // namespace

std::unique_ptr<Reference> live_reference(Engine& engine, int64_t max_tokens) {
  return std::make_unique<LiveReference>(engine, max_tokens);
}

void to_log_probs(MatrixView<float> logits, std::span<const int32_t> targets, bool in_place, std::span<double> losses) {
  parallel_for(logits.rows, [&](int64_t row, int) {
    const auto values = logits.row(row);
    const double log_sum = log_sum_exp(values);
    losses[row] = log_sum - values[targets[row]];
    if (!in_place) return;
    for (float& value : values) value = static_cast<float>(value - log_sum);
  });
}

}  // namespace esparse
