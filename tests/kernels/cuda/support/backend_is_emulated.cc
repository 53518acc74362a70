#include "kernels/cuda/emulated/backend_emulated.h"
#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {

const Backend& test_backend() { return emulated_backend(); }
bool on_device() { return false; }

}  // namespace esparse::cuda
