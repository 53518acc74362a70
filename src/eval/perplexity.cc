#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "base/progress.h"
#include "kernels/elementwise.h"

namespace esparse {
namespace {

// Logits of this many tokens exist at a time: 128 x 128k vocabulary x 4 bytes = 64 MiB.
constexpr int64_t kLogitRows = 128;

// Sum of -log p(token t + 1 | tokens 0..t) over one window, in nats.
double window_nll(const Model& model, std::span<const int32_t> window, MatrixView<const float> hidden) {
  const int64_t predicted = static_cast<int64_t>(window.size()) - 1;
  Matrix<float> logits(std::min(kLogitRows, predicted), model.config().vocab_size);
  std::vector<double> losses(predicted);
  for (int64_t first = 0; first < predicted; first += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, predicted - first);
    const auto part = logits.view().rows_from(0, rows);
    model.logits(hidden.rows_from(first, rows), part);
    parallel_for(rows, [&](int64_t row, int) {
      losses[first + row] = log_sum_exp(part.row(row)) - part(row, window[first + row + 1]);
    });
  }
  double sum = 0;  // in order, so that the thread count does not matter
  for (double loss : losses) sum += loss;
  return sum;
}

}  // namespace

Result<Perplexity> measure_perplexity(const Model& model, std::span<const int32_t> ids,
                                      const PerplexityOptions& options) {
  const auto tokens = static_cast<int64_t>(ids.size());
  if (options.context < 2) return invalid_argument("--context: expected at least 2 tokens, got {}", options.context);
  if (options.context > model.config().max_positions)
    return invalid_argument("--context: the model has {} positions (max_position_embeddings), got {}",
                            model.config().max_positions, options.context);
  if (tokens < 2) return invalid_argument("the text has {} tokens, at least 2 are needed", tokens);

  Perplexity result;
  result.context = std::min(options.context, tokens);
  result.windows = tokens / result.context;
  if (options.max_windows > 0) result.windows = std::min(result.windows, options.max_windows);
  result.tokens = result.windows * (result.context - 1);

  double total = 0;
  KvCache cache = model.make_cache(result.context);
  Progress progress("eval", result.windows);
  for (int64_t window = 0; window < result.windows; ++window) {
    const auto part = ids.subspan(window * result.context, result.context);
    cache.set_length(0);
    ESPARSE_ASSIGN_OR_RETURN(const Matrix<float> hidden, model.forward(part, cache));
    total += window_nll(model, part, hidden.view());
    progress.advance(1, fmt::format("perplexity {:.2f}",
                                    std::exp(total / static_cast<double>((window + 1) * (result.context - 1)))));
  }
  result.nll = total / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.nll);
  if (!std::isfinite(result.nll)) return numeric_error("the model's logits are not finite (mean loss {})", result.nll);
  return result;
}

}  // namespace esparse
