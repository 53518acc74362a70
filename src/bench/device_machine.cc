#include "bench/device_machine.h"

#include <algorithm>
#include <functional>
#include <random>

#include "base/byte_size.h"
#include "base/dtype.h"
#include "base/timing.h"
#include "bench/device_contender.h"
#include "kernels/cuda/driver.h"

namespace esparse {
namespace {

constexpr int kTurns = 5;
constexpr double kTurnSeconds = 0.02;

Result<double> median_seconds(Device& device, std::function<Status()> run) {
  const DeviceContender contender{"", 0, false, 1, [run = std::move(run)](int64_t) { return run(); }};
  ESPARSE_ASSIGN_OR_RETURN(DeviceRuns runs, DeviceRuns::create(device, contender, kTurnSeconds));
  std::vector<double> times;
  for (int turn = 0; turn < kTurns; ++turn) {
    ESPARSE_ASSIGN_OR_RETURN(const double seconds, runs.seconds_per_run());
    times.push_back(seconds);
  }
  return median(times);
}

Result<double> copy_speed(Device& device, int64_t bytes) {
  ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes source, device.allocate(bytes, "copy bandwidth"));
  ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes target, device.allocate(bytes, "copy bandwidth"));
  const cuda::Runtime& runtime = *device.backend().runtime;
  ESPARSE_RETURN_IF_ERROR(runtime.fill_bytes(source.data(), 0x5a, bytes, device.stream()));
  ESPARSE_ASSIGN_OR_RETURN(const double seconds, median_seconds(device, [&] {
                             return runtime.copy_on_device(target.data(), source.data(), bytes, device.stream());
                           }));
  return 2.0 * static_cast<double>(bytes) / seconds;
}

// Random values: zeros would take less power, and so run faster.
Result<double> product_speed(Device& device, int64_t side) {
  std::vector<bf16> values(static_cast<size_t>(side * side));
  std::minstd_rand random(1);
  for (bf16& value : values) value = to_bf16(static_cast<float>(random() >> 7) * 0x1p-23f - 1.0f);
  ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes x, device.upload(std::as_bytes(std::span(values)), "product speed"));
  ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes y, device.allocate(x.bytes(), "product speed"));
  cuda::GemmArgs args;
  args.x = args.w = x.data(), args.y = y.data();
  args.tokens = args.in = args.out = args.x_stride = args.w_stride = args.y_stride = side;
  ESPARSE_ASSIGN_OR_RETURN(const double seconds,
                           median_seconds(device, [&] { return device.backend().gemm->gemm(args, device.stream()); }));
  const auto n = static_cast<double>(side);
  return 2 * n * n * n / seconds;
}

std::string driver_text(int version) { return version == 0 ? "none" : "CUDA " + cuda::cuda_version_text(version); }

}  // namespace

double DeviceMachine::floor_seconds(double bytes, double flops) const {
  return std::max(bytes / copy_bytes_per_second, flops / flops_per_second);
}

std::string DeviceMachine::line() const {
  return fmt::format(
      "{}, compute capability {}.{}, {} multiprocessors, L2 {}, driver {}, {}, {}, copy {:.0f} GB/s, dense bf16 {:.1f} "
      "TFLOP/s",
      gpu.name, gpu.compute_major, gpu.compute_minor, gpu.multiprocessors, format_bytes(gpu.l2_bytes),
      driver_text(gpu.driver_version), dense_library, has_sparse_library ? sparse_library : "no cuSPARSELt",
      copy_bytes_per_second * 1e-9, flops_per_second * 1e-12);
}

Result<DeviceMachine> measure_device(Device& device, const DeviceMachineSizes& sizes) {
  DeviceMachine machine;
  machine.gpu = device.info();
  ESPARSE_ASSIGN_OR_RETURN(machine.dense_library, device.backend().gemm->version());
  const auto sparse = device.backend().sparse_library->version();
  machine.has_sparse_library = sparse.ok();
  machine.sparse_library = sparse.ok() ? *sparse : sparse.status().message();
  ESPARSE_ASSIGN_OR_RETURN(machine.copy_bytes_per_second, copy_speed(device, sizes.copy_bytes));
  ESPARSE_ASSIGN_OR_RETURN(machine.flops_per_second, product_speed(device, sizes.product_side));
  return machine;
}

Json device_machine_json(const DeviceMachine& machine) {
  return {{"gpu", machine.gpu.name},
          {"compute_capability", fmt::format("{}.{}", machine.gpu.compute_major, machine.gpu.compute_minor)},
          {"multiprocessors", machine.gpu.multiprocessors},
          {"memory_bytes", machine.gpu.total_bytes},
          {"l2_bytes", machine.gpu.l2_bytes},
          {"driver", driver_text(machine.gpu.driver_version)},
          {"dense_library", machine.dense_library},
          {"sparse_library", machine.sparse_library},
          {"copy_bytes_per_second", machine.copy_bytes_per_second},
          {"flops_per_second", machine.flops_per_second}};
}

}  // namespace esparse
