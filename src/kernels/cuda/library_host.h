// What vendors' libraries need of the GPU they run on; given to them, so that tests may give something else.
#pragma once

#include <functional>

#include "kernels/cuda/backend.h"

namespace esparse::cuda {

struct LibraryHost {
  const Runtime* runtime = nullptr;
  std::function<Result<DeviceInfo>()> current_device;
  std::function<bool(Stream)> is_capturing;
};

}  // namespace esparse::cuda
