#include "gpu_prune/gpu_block_runner.h"

#include <algorithm>
#include <functional>

#include "gpu_prune/block_stage.h"
#include "gpu_prune/gpu_site_statistics.h"

namespace esparse {
namespace {

using cuda::DeviceRows;

// Calls `use` at each of the sites, and ends the pass at the last one.
class VisitSites final : public GpuInputObserver {
 public:
  using Use = std::function<Status(InputSite, const DeviceRows&)>;
  VisitSites(std::span<const InputSite> sites, Use use) : sites_(sites), use_(std::move(use)) {}
  Result<bool> observe(InputSite site, const DeviceRows& inputs) override {
    if (std::ranges::find(sites_, site) != sites_.end()) ESPARSE_RETURN_IF_ERROR(use_(site, inputs));
    return site != sites_.back();
  }

 private:
  std::span<const InputSite> sites_;
  Use use_;
};

// A copy that later passes leave alone.
Result<const std::byte*> keep(Device& device, const void* data, int64_t bytes, DeviceScratch& to) {
  ESPARSE_ASSIGN_OR_RETURN(std::byte * copy, to.at_least(device, bytes, "calibration inputs of the dense model"));
  ESPARSE_RETURN_IF_ERROR(
      device.backend().runtime->copy_on_device(copy, static_cast<const std::byte*>(data), bytes, device.stream()));
  return copy;
}

class GpuGathering final : public SiteGathering<GpuSiteStatistics> {
 public:
  GpuGathering(BlockStage& stage, GatherJob job, GpuBlock block, std::optional<GpuBlock> dense)
      : SiteGathering(std::move(job)), stage_(stage), block_(std::move(block)), dense_(std::move(dense)) {
    for (InputSite site : job_.sites) gathered_.emplace_back(stage.device(), asked(site), job_.total_tokens);
  }

  Status add(MatrixView<float> hidden, MatrixView<float> dense_hidden) override {
    if (dense_) return add_both(hidden, dense_hidden);
    VisitSites visit(job_.sites, [&](InputSite site, const DeviceRows& rows) { return of(site).add(rows); });
    return stage_.run(block_, hidden, &visit);
  }

  Status count(MatrixView<float> hidden) override {
    VisitSites visit(job_.sites, [&](InputSite site, const DeviceRows& rows) {
      return asked(site).needs.entropy ? of(site).count(rows) : Status();
    });
    return stage_.run(block_, hidden, &visit);
  }

 private:
  // One site, beside what the dense model has there: its pass first, since both work in the same memory.
  Status add_both(MatrixView<float> hidden, MatrixView<float> dense_hidden) {
    Device& device = stage_.device();
    DeviceRows own, dense;
    VisitSites keep_dense(job_.sites, [&](InputSite, const DeviceRows& rows) -> Status {
      const int64_t bytes = rows.tokens * rows.stride * cuda::element_bytes(rows.type);
      dense = rows;
      ESPARSE_ASSIGN_OR_RETURN(dense.data, keep(device, rows.data, bytes, dense_inputs_));
      return {};
    });
    ESPARSE_RETURN_IF_ERROR(stage_.run(*dense_, dense_hidden, &keep_dense));
    const std::byte* dense_stream = nullptr;
    if (asked(job_.sites[0]).needs.residual) {
      const int64_t bytes = dense_hidden.rows * dense_hidden.cols * int64_t{sizeof(float)};
      ESPARSE_ASSIGN_OR_RETURN(dense_stream, keep(device, stage_.hidden().data(), bytes, dense_stream_));
    }
    VisitSites look(job_.sites, [&](InputSite, const DeviceRows& rows) {
      own = rows;
      return Status();
    });
    ESPARSE_RETURN_IF_ERROR(stage_.run(block_, hidden, &look));
    ESPARSE_RETURN_IF_ERROR(gathered_[0].add(own));
    return gathered_[0].add_dense(own, dense, stage_.hidden().as<float>(), reinterpret_cast<const float*>(dense_stream),
                                  hidden.cols);
  }

  BlockStage& stage_;
  GpuBlock block_;
  std::optional<GpuBlock> dense_;  // with cross statistics
  DeviceScratch dense_inputs_, dense_stream_;
};

class GpuBlockForward final : public BlockForward {
 public:
  GpuBlockForward(BlockStage& stage, GpuBlock block) : stage_(stage), block_(std::move(block)) {}
  Status run(MatrixView<float> hidden) override {
    ESPARSE_RETURN_IF_ERROR(stage_.run(block_, hidden, nullptr));
    const std::span all(hidden.data, static_cast<size_t>(hidden.rows * hidden.cols));
    return stage_.device().download(std::as_writable_bytes(all), stage_.hidden().data());
  }

 private:
  BlockStage& stage_;
  GpuBlock block_;
};

class GpuBlockRunner final : public BlockRunner {
 public:
  GpuBlockRunner(Device& device, const Model& model, int64_t longest_window) : stage_(device, model, longest_window) {}

  Result<std::unique_ptr<BlockGathering>> gather(GatherJob job) override {
    ESPARSE_ASSIGN_OR_RETURN(GpuBlock block, stage_.upload(job.block));
    std::optional<GpuBlock> dense;
    if (job.request[static_cast<size_t>(job.sites[0])].needs.cross) {
      ESPARSE_ASSIGN_OR_RETURN(GpuBlock uploaded, stage_.upload(job.dense));
      dense.emplace(std::move(uploaded));
    }
    return std::unique_ptr<BlockGathering>(
        std::make_unique<GpuGathering>(stage_, std::move(job), std::move(block), std::move(dense)));
  }
  Result<std::unique_ptr<BlockForward>> forward(const DecoderBlock& block) override {
    ESPARSE_ASSIGN_OR_RETURN(GpuBlock uploaded, stage_.upload(block));
    return std::unique_ptr<BlockForward>(std::make_unique<GpuBlockForward>(stage_, std::move(uploaded)));
  }

 private:
  BlockStage stage_;
};

}  // namespace

std::unique_ptr<BlockRunner> make_gpu_block_runner(Device& device, const Model& model, int64_t longest_window) {
  return std::make_unique<GpuBlockRunner>(device, model, longest_window);
}

}  // namespace esparse
