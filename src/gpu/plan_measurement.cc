#include "gpu/plan_measurement.h"

#include <algorithm>
#include <functional>

#include "base/random.h"
#include "gpu/device_linear.h"
#include "kernels/cuda/cold_timing.h"

namespace esparse {
namespace {

constexpr double kClearlyFaster = 1.03;

DType dtype_of(cuda::Element type) { return type == cuda::Element::f16 ? DType::f16 : DType::bf16; }

// Values in (-1, 1), of a matrix's type. A short run of them repeats: only their bits matter here.
std::vector<std::byte> random_elements(int64_t count, DType dtype) {
  std::mt19937_64 random(1);
  std::vector<float> values(static_cast<size_t>(std::min<int64_t>(count, 1 << 16)));
  for (float& value : values) value = static_cast<float>(static_cast<double>(random() >> 40) * 0x1p-23 - 1);
  std::vector<std::byte> run(values.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, values, run.data());
  std::vector<std::byte> bytes;
  bytes.reserve(static_cast<size_t>(count * dtype_bytes(dtype)));
  while (std::ssize(bytes) < count * dtype_bytes(dtype)) {
    const auto left = static_cast<size_t>(count * dtype_bytes(dtype)) - bytes.size();
    bytes.insert(bytes.end(), run.begin(), run.begin() + std::min(left, run.size()));
  }
  return bytes;
}

int64_t tokens_of(size_t bucket, int64_t max_tokens) {
  const int64_t last = kTokenBuckets[bucket];
  return std::min(last == INT64_MAX ? std::max<int64_t>(max_tokens / 2, kTokenBuckets[bucket - 1] + 1) : last,
                  std::max<int64_t>(max_tokens, 1));
}

bool same_kind(const DevicePlanRow& row, const DeviceWeight& weight) {
  return row.form == weight.form() && row.type == weight.type && row.out_features == weight.out_features &&
         row.in_features == weight.in_features;
}

// Inputs and outputs that all kinds share.
struct Operands {
  DeviceBytes x, y;
  LinearScratch scratch;
};

class Measurement {
 public:
  Measurement(Device& device, const PlanMeasurementOptions& options) : device_(device), options_(options) {}

  Status allocate(std::span<DeviceWeight* const> weights) {
    int64_t widest = 0, tallest = 0, scratch = 0;
    const int64_t tokens = tokens_of(kTokenBuckets.size() - 1, options_.max_tokens);
    for (const DeviceWeight* weight : weights) {
      widest = std::max(widest, weight->in_features), tallest = std::max(tallest, weight->out_features);
      scratch = std::max(scratch, linear_scratch_bytes(*weight, tokens));
    }
    const auto x = random_elements(tokens * widest, dtype_of(weights.front()->type));
    ESPARSE_ASSIGN_OR_RETURN(operands_.x, device_.upload(x, "inputs of a measurement"));
    ESPARSE_ASSIGN_OR_RETURN(operands_.y, device_.allocate(tokens * tallest * 4, "outputs of a measurement"));
    ESPARSE_ASSIGN_OR_RETURN(operands_.scratch, make_linear_scratch(device_, scratch));
    return {};
  }

  // Measures on `weight`, whose plan changes meanwhile.
  Status measure(DeviceWeight& weight, DevicePlanRow& row) {
    DeviceWeight dense;
    if (row.form != DeviceForm::dense) {
      const auto bytes = random_elements(row.out_features * row.in_features, dtype_of(row.type));
      const DenseView view{dtype_of(row.type), row.out_features, row.in_features, bytes.data()};
      ESPARSE_ASSIGN_OR_RETURN(dense, upload_weight(device_, view, row.type));
      ESPARSE_RETURN_IF_ERROR(device_.synchronize());
    }
    row.plan = default_plan(row.form, device_.info(), weight.has_library_copy());
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket)
      ESPARSE_RETURN_IF_ERROR(measure_bucket(weight, row.form == DeviceForm::dense ? nullptr : &dense, bucket, row));
    return {};
  }

 private:
  Status run(DeviceWeight& weight, size_t bucket, DevicePath path, int64_t tokens) {
    weight.plan.paths[bucket] = path;
    const LinearOutput y{operands_.y.data(), cuda::Element::f32, false, weight.out_features};
    return device_linear(device_, weight, operands_.x.data(), tokens, nullptr, y, operands_.scratch);
  }

  Status measure_bucket(DeviceWeight& weight, DeviceWeight* dense, size_t bucket, DevicePlanRow& row) {
    const int64_t tokens = tokens_of(bucket, options_.max_tokens);
    if (token_bucket(tokens) != static_cast<int>(bucket)) return {};  // passes are never that long
    const auto paths = possible_paths(row.form, device_.info(), tokens, weight.has_library_copy());
    std::vector<std::function<Status()>> candidates;
    for (const DevicePath path : paths)
      candidates.push_back([this, &weight, bucket, path, tokens] { return run(weight, bucket, path, tokens); });
    if (dense != nullptr)
      candidates.push_back([this, dense, bucket, tokens] { return run(*dense, bucket, DevicePath::library, tokens); });
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<double> seconds,
                             cuda::time_cold(*device_.backend().runtime, device_.stream(), 2 * device_.info().l2_bytes,
                                             candidates, options_.rounds));
    DevicePlanRow::Choice& choice = row.choices[bucket];
    choice.tokens = tokens;
    for (size_t i = 0; i < paths.size(); ++i) choice.times.push_back({paths[i], seconds[i]});
    if (dense != nullptr) choice.dense_seconds = seconds.back();
    choose(choice, row.plan.paths[bucket]);
    return {};
  }

  // Leaves the default only for what is clearly faster.
  static void choose(const DevicePlanRow::Choice& choice, DevicePath& path) {
    const auto of_default = std::ranges::find(choice.times, path, &PathTime::path);
    const auto best = std::ranges::min_element(choice.times, {}, &PathTime::seconds);
    if (best->seconds * kClearlyFaster < of_default->seconds) path = best->path;
  }

  Device& device_;
  PlanMeasurementOptions options_;
  Operands operands_;
};

}  // namespace

double DevicePlanRow::speedup(size_t bucket) const {
  const Choice& choice = choices[bucket];
  const auto chosen = std::ranges::find(choice.times, plan.paths[bucket], &PathTime::path);
  if (chosen == choice.times.end() || choice.dense_seconds <= 0 || chosen->seconds <= 0) return 0;
  return choice.dense_seconds / chosen->seconds;
}

Result<std::vector<DevicePlanRow>> measure_device_plans(Device& device, std::span<DeviceWeight* const> weights,
                                                        const PlanMeasurementOptions& options) {
  std::vector<DevicePlanRow> rows;
  if (weights.empty()) return rows;
  Measurement measurement(device, options);
  ESPARSE_RETURN_IF_ERROR(measurement.allocate(weights));
  for (DeviceWeight* weight : weights) {
    auto row = std::ranges::find_if(rows, [&](const DevicePlanRow& known) { return same_kind(known, *weight); });
    if (row == rows.end()) {
      rows.push_back({weight->form(), weight->type, weight->out_features, weight->in_features, 0, {}, {}});
      row = std::prev(rows.end());
      ESPARSE_RETURN_IF_ERROR(measurement.measure(*weight, *row));
    }
    ++row->weights;
    weight->plan = row->plan;
  }
  ESPARSE_RETURN_IF_ERROR(device.synchronize());
  return rows;
}

}  // namespace esparse
