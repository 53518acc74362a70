#include "bench/device_rows.h"

#include <algorithm>
#include <chrono>

#include "base/timing.h"
#include "bench/device_contender.h"
#include "bench/device_weights.h"

namespace esparse {
namespace {

constexpr int kTrialTurns = 3;  // to find the fastest of a side
constexpr int kFewestTurns = 3;
const BenchPattern kDense{"dense"};

double seconds_since_start() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The contender that is fastest, ready to be run again; null of none.
struct Fastest {
  const DeviceContender* contender = nullptr;
  std::optional<DeviceRuns> runs;
};

Result<Fastest> find_fastest(Device& device, const std::vector<DeviceContender>& contenders, double turn_seconds) {
  Fastest fastest;
  double best = 0;
  for (const DeviceContender& contender : contenders) {
    ESPARSE_ASSIGN_OR_RETURN(DeviceRuns runs, DeviceRuns::create(device, contender, turn_seconds));
    std::vector<double> times;
    for (int turn = 0; turn < kTrialTurns; ++turn) {
      ESPARSE_ASSIGN_OR_RETURN(const double seconds, runs.seconds_per_run());
      times.push_back(seconds);
    }
    if (fastest.contender != nullptr && median(times) >= best) continue;
    best = median(times);
    fastest.contender = &contender;
    fastest.runs.emplace(std::move(runs));
  }
  return fastest;
}

double kept_share(const BenchPattern& pattern, const LinearShape& shape) {
  if (pattern.dense()) return 1;
  if (pattern.density) return *pattern.density;
  const double nm = static_cast<double>(pattern.nm->kept) / static_cast<double>(pattern.nm->group);
  if (!pattern.dense_fraction) return nm;
  const SpenseLayout layout = pattern.layout(shape.out_features, shape.in_features);
  const double split = static_cast<double>(layout.split == SpenseSplit::out ? shape.out_features : shape.in_features);
  const double dense = static_cast<double>(layout.dense) / split;
  return dense + (1 - dense) * nm;
}

// One shape; the weights of a pattern are made when its turn comes.
class ShapeBench {
 public:
  ShapeBench(Device& device, const LinearShape& shape, const DeviceBenchOptions& options)
      : device_(device), shape_(shape), options_(options), values_(random_weight(shape, options.linear.dtype)) {
    cold_bytes_ = options.cold_bytes > 0 ? options.cold_bytes : 4 * device.info().l2_bytes;
  }

  Result<DeviceColdWeights> weights(const BenchPattern& pattern) {
    return DeviceColdWeights::create(device_, values_, options_.linear.dtype, pattern, cold_bytes_);
  }
  Result<DeviceRow> row(const BenchPattern& pattern, DeviceColdWeights& dense, DeviceColdWeights& sparse,
                        int64_t tokens, double seconds);

 private:
  Status check(const std::vector<DeviceContender>& contenders, const BenchPattern& pattern, DeviceOperands& operands) {
    for (const DeviceContender& contender : contenders)
      ESPARSE_RETURN_IF_ERROR(
          check_device_contender(device_, contender, pattern, operands)
              .with_context(fmt::format("{}, {}, {} tokens", shape_.name, pattern.text, operands.tokens)));
    return {};
  }
  Status time_turns(Fastest& dense, Fastest& sparse, Fastest& library, double seconds, DeviceRow& row);

  Device& device_;
  const LinearShape& shape_;
  const DeviceBenchOptions& options_;
  Matrix<float> values_;
  int64_t cold_bytes_ = 0;
};

Status ShapeBench::time_turns(Fastest& dense, Fastest& sparse, Fastest& library, double seconds, DeviceRow& row) {
  const double end = seconds_since_start() + seconds;
  std::vector<double> dense_times, sparse_times, library_times, ratios, library_ratios;
  for (int turn = 0; turn < options_.linear.repetitions; ++turn) {
    if (turn >= kFewestTurns && seconds_since_start() > end) break;
    ESPARSE_ASSIGN_OR_RETURN(const double of_dense, dense.runs->seconds_per_run());
    ESPARSE_ASSIGN_OR_RETURN(const double of_sparse, sparse.runs->seconds_per_run());
    dense_times.push_back(of_dense), sparse_times.push_back(of_sparse);
    ratios.push_back(of_dense / of_sparse);
    if (library.contender == nullptr) continue;
    ESPARSE_ASSIGN_OR_RETURN(const double of_library, library.runs->seconds_per_run());
    library_times.push_back(of_library), library_ratios.push_back(of_library / of_sparse);
  }
  row.repetitions = static_cast<int>(ratios.size());
  row.dense_seconds = median(dense_times), row.sparse_seconds = median(sparse_times);
  row.speedup = median(ratios), row.speedup_mad = median_absolute_deviation(ratios);
  row.dense_kernel = dense.contender->kernel, row.kernel = sparse.contender->kernel;
  row.dense_bytes = dense.contender->weight_bytes, row.weight_bytes = sparse.contender->weight_bytes;
  if (library.contender == nullptr) return {};
  row.library_seconds = median(library_times), row.speedup_over_library = median(library_ratios);
  row.library_kernel = library.contender->kernel;
  return {};
}

Result<DeviceRow> ShapeBench::row(const BenchPattern& pattern, DeviceColdWeights& dense_weights,
                                  DeviceColdWeights& sparse_weights, int64_t tokens, double seconds) {
  const double end = seconds_since_start() + seconds;
  Product product(values_, tokens);
  ESPARSE_ASSIGN_OR_RETURN(DeviceOperands operands,
                           DeviceOperands::create(device_, product, device_element(options_.linear.dtype)));
  ESPARSE_ASSIGN_OR_RETURN(const auto dense, dense_weights.dense_library(operands));
  ESPARSE_ASSIGN_OR_RETURN(const auto ours, sparse_weights.ours(operands));
  ESPARSE_ASSIGN_OR_RETURN(const auto library, sparse_weights.sparse_library(operands));
  ESPARSE_RETURN_IF_ERROR(check(dense, kDense, operands));
  ESPARSE_RETURN_IF_ERROR(check(ours, pattern, operands));
  ESPARSE_RETURN_IF_ERROR(check(library, pattern, operands));
  ESPARSE_ASSIGN_OR_RETURN(Fastest fastest_dense, find_fastest(device_, dense, options_.turn_seconds));
  ESPARSE_ASSIGN_OR_RETURN(Fastest fastest_ours, find_fastest(device_, ours, options_.turn_seconds));
  ESPARSE_ASSIGN_OR_RETURN(Fastest fastest_library, find_fastest(device_, library, options_.turn_seconds));
  DeviceRow row;
  row.shape = shape_, row.pattern = pattern.text, row.tokens = tokens, row.dtype = options_.linear.dtype;
  row.activation_bytes = operands.bytes();
  row.kept = kept_share(pattern, shape_);
  ESPARSE_RETURN_IF_ERROR(
      time_turns(fastest_dense, fastest_ours, fastest_library, std::max(0.0, end - seconds_since_start()), row));
  return row;
}

}  // namespace

Result<DeviceReport> bench_device(Device& device, const DeviceBenchOptions& options,
                                  const std::function<void(const DeviceRow&)>& on_row) {
  const LinearBenchOptions& linear = options.linear;
  if (linear.dtype == DType::f32)
    return invalid_argument("--dtype: on a GPU weights have 16 bits: expected bf16 or f16, got f32");
  const double end = seconds_since_start() + linear.budget_seconds;
  DeviceReport report;
  ESPARSE_ASSIGN_OR_RETURN(report.machine, measure_device(device, options.sizes));
  size_t rows_left = linear.shapes.size() * linear.patterns.size() * linear.tokens.size();
  for (const LinearShape& shape : linear.shapes) {
    ShapeBench bench(device, shape, options);
    ESPARSE_ASSIGN_OR_RETURN(DeviceColdWeights dense, bench.weights(kDense));
    for (const BenchPattern& pattern : linear.patterns) {
      ESPARSE_ASSIGN_OR_RETURN(DeviceColdWeights sparse, bench.weights(pattern));
      for (const int64_t tokens : linear.tokens) {
        const double seconds = std::max(0.0, end - seconds_since_start()) / static_cast<double>(rows_left--);
        ESPARSE_ASSIGN_OR_RETURN(DeviceRow row, bench.row(pattern, dense, sparse, tokens, seconds));
        on_row(row);
        report.rows.push_back(std::move(row));
      }
    }
  }
  return report;
}

}  // namespace esparse
