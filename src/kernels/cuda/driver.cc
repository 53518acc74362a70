#include "kernels/cuda/driver.h"

namespace esparse::cuda {

std::string cuda_version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

Status check_driver(int driver, int built_for) {
  if (driver == 0)
    return unsupported(
        "--device cuda: this machine has no NVIDIA driver; use --device cpu, or install a driver for CUDA {}",
        cuda_version_text(built_for));
  if (driver / 1000 < built_for / 1000)
    return unsupported(
        "--device cuda: expected a driver for CUDA {} or newer, got one for CUDA {}; update the driver or use "
        "--device cpu",
        cuda_version_text(built_for / 1000 * 1000), cuda_version_text(driver));
  return {};
}

Status check_gpu_count(int count, const std::string& problem, int ordinal) {
  if (count == 0 || !problem.empty())
    return unsupported("--device cuda: the driver finds no GPU{}; use --device cpu",
                       problem.empty() ? "" : " (" + problem + ")");
  if (ordinal < 0 || ordinal >= count)
    return invalid_argument("--device cuda:{}: this machine has {} GPU{}, counted from 0", ordinal, count,
                            count == 1 ? "" : "s");
  return {};
}

}  // namespace esparse::cuda
