#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/interrupt.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "kernels/fast_exp.h"

namespace esparse {
namespace {

// Logits of this many tokens exist at a time: 128 x 128k vocabulary x 4 bytes = 64 MiB.
constexpr int64_t kLogitRows = 128;

// Sum over the vocabulary of p (ln p - ln q), p the reference's.
double kl_divergence(std::span<const float> reference, std::span<const float> model) {
  double sum = 0;
  for (size_t start = 0; start < reference.size(); start += 64) {  // short f32 sums, which the compiler vectorises
    float part = 0;
    for (size_t i = start; i < std::min(start + 64, reference.size()); ++i)
      part += fast_exp(reference[i]) * (reference[i] - model[i]);
    sum += part;
  }
  return std::max(sum, 0.0);  // rounding alone can make it negative
}

int64_t top(std::span<const float> values) { return std::max_element(values.begin(), values.end()) - values.begin(); }

class Measurement {
 public:
  Measurement(Engine& engine, const PerplexityJob& job)
      : engine_(engine), job_(job), tokens_(scored_tokens(job.windows)) {
    losses_.reserve(tokens_);
  }

  Status check() const {
    if (longest_window() > engine_.config().max_positions)
      return invalid_argument("--context: the model has {} positions (max_position_embeddings), got {}",
                              engine_.config().max_positions, longest_window());
    if (job_.reference && job_.reference->vocab_size() != engine_.config().vocab_size)
      return invalid_argument("--against: expected a vocabulary of {} as the model has, got {}",
                              engine_.config().vocab_size, job_.reference->vocab_size());
    return {};
  }

  Status run() {
    ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence,
                             engine_.make_sequence({.capacity = longest_window(), .kv_dtype = {}}));
    Progress progress("eval", tokens_);
    double total = 0;
    for (const TextWindow& window : job_.windows) {
      if (interrupted()) break;
      const std::vector<int32_t> tokens = window.tokens(job_.bos);
      sequence->set_length(0);
      ESPARSE_RETURN_IF_ERROR(engine_.forward(tokens, *sequence, LogitsOf::all_tokens));
      if (job_.reference) ESPARSE_RETURN_IF_ERROR(job_.reference->begin_window(window, tokens));
      ESPARSE_RETURN_IF_ERROR(score(window, tokens, *sequence));
      ++windows_;
      for (size_t i = losses_.size() - window.scored; i < losses_.size(); ++i) total += losses_[i];
      progress.advance(window.scored,
                       fmt::format("perplexity {:.2f}", std::exp(total / static_cast<double>(losses_.size()))));
    }
    return {};
  }

  Result<Perplexity> result() const {
    Perplexity result;
    result.windows = windows_;
    result.all_windows = static_cast<int64_t>(job_.windows.size());
    result.tokens = static_cast<int64_t>(losses_.size());
    if (windows_ == 0) return Status(StatusKind::interrupted, "interrupted before the first window was done");
    result.nll = estimate_mean(losses_);
    result.perplexity = exp_of(result.nll);
    if (!std::isfinite(result.nll.mean))
      return numeric_error("the model's logits are not finite (mean loss {})", result.nll.mean);
    if (job_.reference == nullptr) return result;
    result.divergence = divergence();
    if (!std::isfinite(result.divergence->kl.mean))
      return numeric_error("the reference's predictions are not finite (mean divergence {})",
                           result.divergence->kl.mean);
    return result;
  }

 private:
  int64_t longest_window() const {
    int64_t longest = 0;
    for (const TextWindow& window : job_.windows)
      longest = std::max(longest, static_cast<int64_t>(window.text.size()) + (job_.bos ? 1 : 0));
    return longest;
  }

  // Losses of the scored tokens of one window, and what else was asked for.
  Status score(const TextWindow& window, std::span<const int32_t> tokens, Sequence& sequence) {
    const int64_t skipped = static_cast<int64_t>(tokens.size()) - 1 - window.scored;
    const int64_t most = std::min(kLogitRows, window.scored), vocab = engine_.config().vocab_size;
    Matrix<float> logits(most, vocab), reference(job_.reference ? most : 0, vocab);
    for (int64_t first = 0; first < window.scored; first += kLogitRows) {
      const int64_t rows = std::min(kLogitRows, window.scored - first);
      const auto part = logits.view().rows_from(0, rows);
      ESPARSE_RETURN_IF_ERROR(engine_.logits(skipped + first, sequence, part));
      const auto targets = tokens.subspan(skipped + first + 1, rows);
      ESPARSE_RETURN_IF_ERROR(add_losses(part, targets));
      if (job_.reference) ESPARSE_RETURN_IF_ERROR(compare(first, part, targets, reference.view().rows_from(0, rows)));
    }
    return {};
  }

  Status add_losses(MatrixView<float> logits, std::span<const int32_t> targets) {
    const size_t start = losses_.size();
    losses_.resize(start + targets.size());
    const auto losses = std::span(losses_).subspan(start);
    to_log_probs(logits, targets, job_.reference != nullptr || job_.writer != nullptr, losses);
    return job_.writer ? job_.writer->append(logits, losses) : Status();
  }

  Status compare(int64_t first, MatrixView<const float> model, std::span<const int32_t> targets,
                 MatrixView<float> reference) {
    const size_t start = kl_.size();
    kl_.resize(start + targets.size());
    reference_losses_.resize(kl_.size());
    same_top_.resize(kl_.size());
    ESPARSE_RETURN_IF_ERROR(
        job_.reference->read(first, targets, reference, std::span(reference_losses_).subspan(start)));
    parallel_for(model.rows, [&](int64_t row, int) {
      kl_[start + row] = kl_divergence(reference.row(row), model.row(row));
      same_top_[start + row] = top(reference.row(row)) == top(model.row(row));
    });
    return {};
  }

  Divergence divergence() const {
    Divergence result;
    result.kl = estimate_mean(kl_);
    result.kl_p99 = percentile(kl_, 0.99);
    result.same_top = estimate_mean(same_top_);
    result.reference_nll = estimate_mean(reference_losses_);
    std::vector<double> differences;
    for (size_t i = 0; i < losses_.size(); ++i) differences.push_back(losses_[i] - reference_losses_[i]);
    result.nll_difference = estimate_mean(differences);
    result.perplexity_ratio = exp_of(result.nll_difference);
    return result;
  }

  Engine& engine_;
  const PerplexityJob& job_;
  int64_t tokens_;
  int64_t windows_ = 0;
  std::vector<double> losses_, reference_losses_, kl_, same_top_;  // per predicted token
};

}  // namespace

Result<Perplexity> measure_perplexity(Engine& engine, const PerplexityJob& job) {
  Measurement measurement(engine, job);
  ESPARSE_RETURN_IF_ERROR(measurement.check());
  ESPARSE_RETURN_IF_ERROR(measurement.run());
  return measurement.result();
}

double bits_per_byte(double nll, int64_t text_tokens, int64_t text_bytes) {
  return text_bytes == 0 ? 0 : nll / std::log(2.0) * static_cast<double>(text_tokens) / static_cast<double>(text_bytes);
}

}  // namespace esparse
