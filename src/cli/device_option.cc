#include "cli/device_option.h"

#include <charconv>
#include <cstdio>
#include <string_view>

#include "gpu/gpu_engine.h"
#include "kernels/cuda/backend.h"
#include "model/cpu_engine.h"

namespace esparse {
namespace {

constexpr std::string_view kCuda = "cuda";

// The number behind "cuda:", 0 for "cuda" alone, -1 where the text is neither.
int ordinal_of(std::string_view name) {
  if (name == kCuda) return 0;
  if (!name.starts_with("cuda:")) return -1;
  const std::string_view digits = name.substr(kCuda.size() + 1);
  int ordinal = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  return error == std::errc() && end == digits.data() + digits.size() ? ordinal : -1;
}

}  // namespace

void DeviceOption::add_to(CLI::App& app) {
  const auto is_device = [](const std::string& name) {
    return name == "cpu" || ordinal_of(name) >= 0 ? std::string()
                                                  : "expected cpu, cuda or cuda:N (N counts from 0), got " + name;
  };
  app.add_option("--device", name_, "cpu, cuda, or cuda:N for one of several GPUs")
      ->check(CLI::Validator(is_device, "", "device"))
      ->type_name("DEVICE")
      ->capture_default_str();
}

Result<std::unique_ptr<Device>> DeviceOption::open() const {
  if (!on_gpu()) return std::unique_ptr<Device>();
  ESPARSE_ASSIGN_OR_RETURN(const cuda::Backend* backend, cuda::device_backend());
  return Device::open(*backend, ordinal_of(name_));
}

Result<std::unique_ptr<Engine>> engine_on(std::unique_ptr<Device> device, const Model& model,
                                          const GpuEngineOptions& options) {
  if (device == nullptr) return std::unique_ptr<Engine>(std::make_unique<CpuEngine>(model));
  const bool rounds = !model.blocks().empty() && model.blocks()[0].down.dtype() == DType::f32;
  if (rounds) std::fprintf(stderr, "The weights are f32; %s gets them as bf16\n", device->info().name.c_str());
  ESPARSE_ASSIGN_OR_RETURN(std::unique_ptr<GpuEngine> engine, GpuEngine::create(std::move(device), model, options));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace esparse
