// Linked where esparse is built without CUDA.
#include "kernels/cuda/backend.h"

namespace esparse::cuda {

Result<const Backend*> device_backend() {
  return unsupported(
      "--device cuda: this esparse was built without CUDA; use --device cpu, or install the CUDA 13 toolkit "
      "(tools/install-cuda) and build with -DESPARSE_CUDA=ON");
}

}  // namespace esparse::cuda
