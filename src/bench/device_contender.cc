#include "bench/device_contender.h"

#include <algorithm>
#include <cmath>

namespace esparse {
namespace {

constexpr int64_t kFewestRuns = 16, kMostRuns = 1024;

}  // namespace

Result<DeviceOperands> DeviceOperands::create(Device& device, Product& product, cuda::Element type) {
  const DType dtype = type == cuda::Element::f16 ? DType::f16 : DType::bf16;
  DeviceOperands operands;
  operands.product = &product, operands.type = type;
  operands.tokens = product.x.rows(), operands.in = product.x.cols(), operands.out = product.y.cols();
  constexpr int64_t kMultiple = cuda::SparseLibrary::kTokenMultiple;
  operands.padded_tokens = (operands.tokens + kMultiple - 1) / kMultiple * kMultiple;
  std::vector<std::byte> rounded(static_cast<size_t>(operands.padded_tokens * operands.in * 2));
  convert_from_f32(dtype, product.x.values(), rounded.data());
  convert_to_f32(dtype, rounded.data(), product.x.values());
  ESPARSE_ASSIGN_OR_RETURN(operands.x, device.upload(rounded, "benchmark inputs"));
  ESPARSE_ASSIGN_OR_RETURN(operands.y, device.allocate(operands.padded_tokens * operands.out * 2, "benchmark outputs"));
  return operands;
}

int64_t DeviceOperands::bytes() const { return 2 * tokens * (in + out); }

Status check_device_contender(Device& device, const DeviceContender& contender, const BenchPattern& pattern,
                              DeviceOperands& operands) {
  const cuda::Runtime& runtime = *device.backend().runtime;
  ESPARSE_RETURN_IF_ERROR(runtime.fill_bytes(operands.y.data(), 0xff, operands.y.bytes(), device.stream()));
  ESPARSE_RETURN_IF_ERROR(contender.run(0));
  std::vector<std::byte> y(static_cast<size_t>(operands.tokens * operands.out * 2));
  ESPARSE_RETURN_IF_ERROR(device.download(y, operands.y.data()));
  Matrix<float>& target = operands.product->y;
  convert_to_f32(operands.type == cuda::Element::f16 ? DType::f16 : DType::bf16, y.data(), target.values());
  // x has been rounded before, so only y is.
  const double unit = operands.type == cuda::Element::f16 ? 0x1p-11 : 0x1p-8;
  return check_product(contender.kernel, DType::f32, pattern, *operands.product, {unit, contender.rounds_parts});
}

Result<DeviceRuns> DeviceRuns::create(Device& device, const DeviceContender& contender, double seconds) {
  DeviceRuns runs(device, contender);
  ESPARSE_RETURN_IF_ERROR(runs.make(seconds));
  return runs;
}

DeviceRuns::DeviceRuns(DeviceRuns&& other) noexcept
    : device_(other.device_),
      contender_(other.contender_),
      runs_(other.runs_),
      graph_(std::exchange(other.graph_, nullptr)),
      first_(std::exchange(other.first_, nullptr)),
      last_(std::exchange(other.last_, nullptr)) {}

DeviceRuns::~DeviceRuns() {
  const cuda::Runtime& runtime = *device_->backend().runtime;
  if (graph_ != nullptr) runtime.destroy_graph(graph_);
  for (const cuda::Event event : {first_, last_})
    if (event != nullptr) runtime.destroy_event(event);
}

Status DeviceRuns::run_all() {
  for (int64_t run = 0; run < runs_; ++run) ESPARSE_RETURN_IF_ERROR(contender_->run(run % contender_->copies));
  return {};
}

Status DeviceRuns::make(double seconds) {
  const cuda::Runtime& runtime = *device_->backend().runtime;
  ESPARSE_ASSIGN_OR_RETURN(first_, runtime.make_event());
  ESPARSE_ASSIGN_OR_RETURN(last_, runtime.make_event());
  runs_ = contender_->copies;
  ESPARSE_RETURN_IF_ERROR(run_all());
  ESPARSE_ASSIGN_OR_RETURN(const double one, seconds_per_run());
  const Status begun = runtime.begin_capture(device_->stream());
  if (begun.kind() == StatusKind::unsupported) return {};
  ESPARSE_RETURN_IF_ERROR(begun);
  const double wanted = std::clamp(std::ceil(seconds / std::max(one, 1e-9)), static_cast<double>(kFewestRuns),
                                   static_cast<double>(kMostRuns));
  runs_ = (static_cast<int64_t>(wanted) + contender_->copies - 1) / contender_->copies * contender_->copies;
  const Status captured = run_all();
  const auto graph = runtime.end_capture(device_->stream());  // also after a failure, which else stays in the stream
  ESPARSE_RETURN_IF_ERROR(captured);
  ESPARSE_ASSIGN_OR_RETURN(graph_, graph);
  return seconds_per_run().status();  // the first launch of a graph uploads it
}

Result<double> DeviceRuns::seconds_per_run() {
  const cuda::Runtime& runtime = *device_->backend().runtime;
  ESPARSE_RETURN_IF_ERROR(runtime.record(first_, device_->stream()));
  ESPARSE_RETURN_IF_ERROR(graph_ != nullptr ? runtime.launch_graph(graph_, device_->stream()) : run_all());
  ESPARSE_RETURN_IF_ERROR(runtime.record(last_, device_->stream()));
  ESPARSE_ASSIGN_OR_RETURN(const double seconds, runtime.seconds_between(first_, last_));
  return seconds / static_cast<double>(runs_);
}

}  // namespace esparse
