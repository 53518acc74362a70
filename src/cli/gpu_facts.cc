#include "cli/gpu_facts.h"

#include "base/byte_size.h"

namespace esparse {
namespace {

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

}  // namespace

std::string gpu_line(const cuda::DeviceInfo& info) {
  return fmt::format("{}, compute capability {}.{}, {} multiprocessors, {}, driver for CUDA {}", info.name,
                     info.compute_major, info.compute_minor, info.multiprocessors, format_bytes(info.total_bytes),
                     version_text(info.driver_version));
}

Json gpu_json(const cuda::DeviceInfo& info) {
  return {{"device", info.name},
          {"compute_capability", fmt::format("{}.{}", info.compute_major, info.compute_minor)},
          {"multiprocessors", info.multiprocessors},
          {"memory_bytes", info.total_bytes},
          {"l2_bytes", info.l2_bytes},
          {"driver_cuda_version", version_text(info.driver_version)}};
}

}  // namespace esparse
