#include "search/held_out.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "kernels/elementwise.h"

namespace esparse {
namespace {

// Logits of this many tokens of each model exist at a time.
constexpr int64_t kLogitRows = 128;
constexpr int64_t kKeptLogitBytes = int64_t{256} << 20;

// p_dense log(p_dense / p), summed over the vocabulary.
double divergence_of(std::span<const float> dense, double dense_total, std::span<const float> other, double total) {
  double sum = 0;
  for (size_t id = 0; id < dense.size(); ++id) {
    const double log_dense = dense[id] - dense_total;
    sum += std::exp(log_dense) * (log_dense - (other[id] - total));
  }
  return std::max(sum, 0.0);  // below zero by rounding alone
}

}  // namespace

struct HeldOut::Losses {
  double kl = 0, nll = 0;  // sums
};

HeldOut::Losses HeldOut::window_losses(size_t window, MatrixView<const float> hidden) const {
  const std::vector<int32_t>& ids = windows_[window];
  const auto predicted = static_cast<int64_t>(ids.size()) - 1;
  const int64_t vocabulary = dense_->config().vocab_size;
  Matrix<float> logits(std::min(kLogitRows, predicted), vocabulary), dense_logits;
  if (logits_.empty()) dense_logits = Matrix<float>(logits.rows(), vocabulary);
  std::vector<double> kl(static_cast<size_t>(predicted)), nll(kl.size());
  for (int64_t first = 0; first < predicted; first += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, predicted - first);
    dense_->logits(hidden.rows_from(first, rows), logits.view().rows_from(0, rows));
    MatrixView<const float> dense = dense_logits.view();
    if (logits_.empty()) {
      dense_->logits(hidden_[window].view().rows_from(first, rows), dense_logits.view().rows_from(0, rows));
    } else {
      dense = logits_[window].view().rows_from(first, rows);
    }
    parallel_for(rows, [&](int64_t row, int) {
      const double total = log_sum_exp(logits.row(row));
      const double dense_total =
          logits_.empty() ? log_sum_exp(dense.row(row)) : log_sums_[window][static_cast<size_t>(first + row)];
      kl[first + row] = divergence_of(dense.row(row), dense_total, logits.row(row), total);
      nll[first + row] = total - logits(row, ids[first + row + 1]);
    });
  }
  Losses losses;  // in order, so that the thread count does not matter
  for (size_t token = 0; token < kl.size(); ++token) losses.kl += kl[token], losses.nll += nll[token];
  return losses;
}

Result<std::vector<Matrix<float>>> HeldOut::hidden_states(const Model& model) const {
  int64_t longest = 0;
  for (const auto& window : windows_) longest = std::max(longest, static_cast<int64_t>(window.size()));
  KvCache cache = model.make_cache(longest, DType::f32);
  std::vector<Matrix<float>> hidden;
  for (const auto& window : windows_) {
    cache.set_length(0);
    ESPARSE_ASSIGN_OR_RETURN(Matrix<float> states, model.forward(window, cache));
    hidden.push_back(std::move(states));
  }
  return hidden;
}

Result<HeldOut> HeldOut::create(const Model& dense, std::vector<std::vector<int32_t>> windows) {
  HeldOut held_out(dense, std::move(windows));
  for (const auto& window : held_out.windows_) {
    ESPARSE_CHECK(window.size() >= 2);
    held_out.predicted_ += static_cast<int64_t>(window.size()) - 1;
  }
  ESPARSE_ASSIGN_OR_RETURN(held_out.hidden_, held_out.hidden_states(dense));
  const int64_t vocabulary = dense.config().vocab_size;
  const bool keep_logits = held_out.predicted_ * vocabulary * 4 <= kKeptLogitBytes;
  if (keep_logits) {
    for (size_t index = 0; index < held_out.windows_.size(); ++index) {
      const auto predicted = static_cast<int64_t>(held_out.windows_[index].size()) - 1;
      Matrix<float>& logits = held_out.logits_.emplace_back(predicted, vocabulary);
      dense.logits(held_out.hidden_[index].view().rows_from(0, predicted), logits.view());
      std::vector<double>& sums = held_out.log_sums_.emplace_back(static_cast<size_t>(predicted));
      parallel_for(predicted, [&](int64_t row, int) { sums[static_cast<size_t>(row)] = log_sum_exp(logits.row(row)); });
    }
  }
  ESPARSE_ASSIGN_OR_RETURN(const HeldOutLoss itself, held_out.compare(held_out.hidden_));
  held_out.dense_nll_ = itself.nll;
  return held_out;
}

Result<HeldOutLoss> HeldOut::compare(std::span<const Matrix<float>> hidden) const {
  ESPARSE_CHECK(hidden.size() == windows_.size());
  HeldOutLoss mean;
  for (size_t window = 0; window < hidden.size(); ++window) {
    const Losses losses = window_losses(window, hidden[window].view());
    mean.kl += losses.kl, mean.nll += losses.nll;
  }
  mean.kl /= static_cast<double>(predicted_);
  mean.nll /= static_cast<double>(predicted_);
  mean.nll_rise = mean.nll - dense_nll_;
  if (!std::isfinite(mean.nll) || !std::isfinite(mean.kl))
    return numeric_error("held-out text: the model's logits are not finite (mean loss {}, divergence {})", mean.nll,
                         mean.kl);
  return mean;
}

Result<HeldOutLoss> HeldOut::measure(const Model& model) const {
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<Matrix<float>> hidden, hidden_states(model));
  return compare(hidden);
}

}  // namespace esparse
