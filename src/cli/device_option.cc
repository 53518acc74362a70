#include "cli/device_option.h"

#include <charconv>
#include <string_view>

#include "kernels/cuda/backend.h"

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

}  // namespace esparse
