#include "gpu_prune/gpu_accelerator.h"

namespace esparse {
namespace {

class GpuAccelerator final : public PruneAccelerator {
 public:
  explicit GpuAccelerator(Device& device) : device_(device) {}

  Result<double> obs_sweep(MatrixView<float> weight, MatrixView<const float> u, std::optional<NmPattern> pattern,
                           MatrixView<uint8_t> mask, int64_t columns) override {
    return gpu_obs_sweep(device_, weight, u, pattern, mask, columns);
  }
  std::unique_ptr<SwapSums> swap_sums(MatrixView<const float> saliency, NmPattern pattern,
                                      std::span<const int32_t> channels) override {
    return gpu_swap_sums(device_, failure_, saliency, pattern, channels);
  }
  Status shuffle_failure() const override { return failure_; }

 private:
  Device& device_;
  Status failure_;
};

}  // namespace

std::unique_ptr<PruneAccelerator> make_gpu_accelerator(Device& device) {
  return std::make_unique<GpuAccelerator>(device);
}

}  // namespace esparse
