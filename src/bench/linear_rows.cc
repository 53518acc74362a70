#include "bench/linear_rows.h"

#include <algorithm>
#include <chrono>

#include "base/byte_size.h"
#include "base/memory.h"
#include "base/timing.h"
#include "bench/contender.h"
#include "bench/machine.h"

namespace esparse {
namespace {

constexpr int kFewestRepetitions = 3;
constexpr int kTrialTurns = 3;  // to find the fastest kernel of either side

const BenchPattern kDense{"dense", {}, {}};

class Deadline {
 public:
  explicit Deadline(double seconds)
      : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds))) {}
  double seconds_left() const { return std::max(0.0, Seconds(end_ - Clock::now()).count()); }

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  Clock::time_point end_;
};

Status check_memory(const LinearShape& shape) {
  constexpr int64_t kBytesPerWeight = 16;  // values, dense, packed, two of oneDNN's
  const int64_t needed = shape.out_features * shape.in_features * kBytesPerWeight, present = physical_memory_bytes();
  if (present == 0 || needed < present) return {};
  return invalid_argument("--shapes: {}: {} x {} needs about {} of memory, this machine has {}", shape.name,
                          shape.out_features, shape.in_features, format_bytes(needed), format_bytes(present));
}

// The fastest of each side by a few turns of all.
struct Fastest {
  const Contender* dense = nullptr;
  const Contender* sparse = nullptr;
};

Fastest find_fastest(const std::vector<Contender>& dense, const std::vector<Contender>& sparse, double budget_seconds) {
  std::vector<std::function<void()>> runs;
  for (const auto* side : {&dense, &sparse})
    for (const Contender& contender : *side) runs.push_back(contender.run);
  const auto times = time_in_turns(runs, {1, kTrialTurns, budget_seconds});
  const auto best_of = [&](const std::vector<Contender>& side, size_t first) {
    const Contender* best = nullptr;
    double best_seconds = 0;
    for (size_t i = 0; i < side.size(); ++i) {
      const double seconds = median(times[first + i]);
      if (best == nullptr || seconds < best_seconds) best = &side[i], best_seconds = seconds;
    }
    return best;
  };
  return {best_of(dense, 0), best_of(sparse, dense.size())};
}

void time_pair(const Fastest& fastest, MemoryReader& reader, int repetitions, double budget_seconds, LinearRow& row) {
  const std::function<void()> bodies[] = {fastest.dense->run, fastest.sparse->run, [&] { reader.run(); }};
  const auto times = time_in_turns(bodies, {std::min(kFewestRepetitions, repetitions), repetitions, budget_seconds});
  const double part = static_cast<double>(fastest.sparse->weight_bytes) / static_cast<double>(reader.bytes());
  std::vector<double> ratios, shares;
  for (size_t turn = 0; turn < times[0].size(); ++turn) {
    ratios.push_back(times[0][turn] / times[1][turn]);
    shares.push_back(part * times[2][turn] / times[1][turn]);
  }
  row.repetitions = static_cast<int>(ratios.size());
  row.dense_seconds = median(times[0]);
  row.sparse_seconds = median(times[1]);
  row.speedup = median(ratios);
  row.speedup_mad = median_absolute_deviation(ratios);
  row.bandwidth_share = median(shares);
  row.dense_kernel = fastest.dense->kernel;
  row.kernel = fastest.sparse->kernel;
  row.weight_bytes = fastest.sparse->weight_bytes;
}

// The weights of one shape; those of a pattern are made when its turn comes.
class ShapeBench {
 public:
  ShapeBench(const LinearShape& shape, const LinearBenchOptions& options, MemoryReader& reader)
      : shape_(shape), options_(options), reader_(reader), values_(random_weight(shape, options.dtype)) {}

  Status prepare() {
    ESPARSE_ASSIGN_OR_RETURN(dense_, ColdWeights::create(values_, options_.dtype, kDense));
    return {};
  }

  Result<LinearRow> row(const BenchPattern& pattern, ColdWeights& sparse_weights, int64_t tokens, double seconds) {
    const Deadline deadline(seconds);
    LinearRow row;
    row.shape = shape_;
    row.pattern = pattern.text;
    row.tokens = tokens;
    row.dtype = options_.dtype;
    Product product(values_, tokens);
    std::vector<Contender> dense = onednn_contenders(options_.dtype, product);
    if (!pattern.dense() || dense.empty())
      for (Contender& ours : linear_contenders(dense_, product)) dense.push_back(std::move(ours));
    const std::vector<Contender> sparse = linear_contenders(sparse_weights, product);
    for (const Contender& contender : dense)
      ESPARSE_RETURN_IF_ERROR(check_contender(contender, options_.dtype, kDense, product));
    for (const Contender& contender : sparse)
      ESPARSE_RETURN_IF_ERROR(check_contender(contender, options_.dtype, pattern, product));
    const Fastest fastest = find_fastest(dense, sparse, deadline.seconds_left() / 2);
    time_pair(fastest, reader_, options_.repetitions, deadline.seconds_left(), row);
    return row;
  }

  const Matrix<float>& values() const { return values_; }

 private:
  const LinearShape& shape_;
  const LinearBenchOptions& options_;
  MemoryReader& reader_;
  Matrix<float> values_;
  ColdWeights dense_;
};

}  // namespace

Result<std::vector<LinearRow>> bench_linears(const LinearBenchOptions& options,
                                             const std::function<void(const LinearRow&)>& on_row) {
  for (const LinearShape& shape : options.shapes) ESPARSE_RETURN_IF_ERROR(check_memory(shape));
  const Deadline deadline(options.budget_seconds);
  size_t rows_left = options.shapes.size() * options.patterns.size() * options.tokens.size();
  std::vector<LinearRow> rows;
  MemoryReader reader;
  for (const LinearShape& shape : options.shapes) {
    ShapeBench bench(shape, options, reader);
    ESPARSE_RETURN_IF_ERROR(bench.prepare());
    for (const BenchPattern& pattern : options.patterns) {
      ESPARSE_ASSIGN_OR_RETURN(ColdWeights weights, ColdWeights::create(bench.values(), options.dtype, pattern));
      for (const int64_t tokens : options.tokens) {
        const double seconds = deadline.seconds_left() / static_cast<double>(rows_left--);
        ESPARSE_ASSIGN_OR_RETURN(LinearRow row, bench.row(pattern, weights, tokens, seconds));
        on_row(row);
        rows.push_back(std::move(row));
      }
    }
  }
  return rows;
}

}  // namespace esparse
