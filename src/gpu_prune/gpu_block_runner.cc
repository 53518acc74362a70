#include "gpu_prune/gpu_block_runner.h"

#include <algorithm>
#include <functional>

#include "gpu_prune/gpu_site_statistics.h"

namespace esparse {
namespace {

using cuda::DeviceRows;

Result<DeviceRows> upload(Device& device, MatrixView<const float> rows, DeviceScratch& to) {
  const int64_t row_bytes = rows.cols * int64_t{sizeof(float)};
  ESPARSE_ASSIGN_OR_RETURN(std::byte * data, to.at_least(device, rows.rows * row_bytes, "calibration inputs"));
  if (rows.stride == rows.cols) {
    const std::span all(rows.data, static_cast<size_t>(rows.rows * rows.cols));
    ESPARSE_RETURN_IF_ERROR(device.upload_to(data, std::as_bytes(all)));
  } else {
    for (int64_t row = 0; row < rows.rows; ++row)
      ESPARSE_RETURN_IF_ERROR(device.upload_to(data + row * row_bytes, std::as_bytes(rows.row(row))));
  }
  return DeviceRows{data, cuda::Element::f32, rows.rows, rows.cols, rows.cols};
}

// Uploads the inputs at each of the sites and hands them over; ends the pass at the last one, or when that fails.
class UploadInputs final : public InputObserver {
 public:
  using Use = std::function<Status(InputSite, const DeviceRows&)>;
  UploadInputs(Device& device, std::span<const InputSite> sites, DeviceScratch& to, Use use)
      : device_(device), sites_(sites), to_(to), use_(std::move(use)) {}

  bool observe(InputSite site, MatrixView<const float> inputs) override {
    if (std::ranges::find(sites_, site) == sites_.end()) return true;
    const Result<DeviceRows> rows = upload(device_, inputs, to_);
    status_ = rows.ok() ? use_(site, *rows) : rows.status();
    return status_.ok() && site != sites_.back();
  }
  const Status& status() const { return status_; }

 private:
  Device& device_;
  std::span<const InputSite> sites_;
  DeviceScratch& to_;
  Use use_;
  Status status_;
};

class GpuGathering final : public BlockGathering {
 public:
  GpuGathering(Device& device, const Model& model, LayerCache& cache, GatherJob job)
      : device_(device), model_(model), cache_(cache), job_(std::move(job)) {
    for (InputSite site : job_.sites) gathered_.emplace_back(device, asked(site), job_.total_tokens);
  }

  Status add(MatrixView<float> hidden, MatrixView<float> dense_hidden) override {
    if (asked(job_.sites[0]).needs.cross) return add_both(hidden, dense_hidden);
    return pass(job_.block, hidden, inputs_,
                [&](InputSite site, const DeviceRows& rows) { return of(site).add(rows); });
  }

  Status begin_counting() override {
    for (InputSite site : job_.sites)
      if (asked(site).needs.entropy)
        ESPARSE_RETURN_IF_ERROR(of(site).begin_counting().with_context(site_label(job_.block, site)));
    return {};
  }

  Status count(MatrixView<float> hidden) override {
    return pass(job_.block, hidden, inputs_, [&](InputSite site, const DeviceRows& rows) {
      return asked(site).needs.entropy ? of(site).count(rows) : Status();
    });
  }

  Result<BlockStatistics> finish() override {
    BlockStatistics result;
    for (InputSite site : job_.sites) {
      auto statistics = of(site).finish();
      if (!statistics.ok()) return statistics.status().with_context(site_label(job_.block, site));
      result[static_cast<size_t>(site)] = std::move(statistics).value();
    }
    return result;
  }

 private:
  const SiteRequest& asked(InputSite site) const { return job_.request[static_cast<size_t>(site)]; }
  GpuSiteStatistics& of(InputSite site) {
    return gathered_[static_cast<size_t>(std::ranges::find(job_.sites, site) - job_.sites.begin())];
  }

  Status pass(const DecoderBlock& block, MatrixView<float> hidden, DeviceScratch& to, const UploadInputs::Use& use) {
    UploadInputs observer(device_, job_.sites, to, use);
    model_.forward_block(block, hidden, 0, cache_, &observer);
    return observer.status();
  }

  // One site, beside what the dense model has there.
  Status add_both(MatrixView<float> hidden, MatrixView<float> dense_hidden) {
    DeviceRows own, dense;
    ESPARSE_RETURN_IF_ERROR(pass(job_.dense, dense_hidden, dense_inputs_, [&](InputSite, const DeviceRows& rows) {
      dense = rows;
      return Status();
    }));
    ESPARSE_RETURN_IF_ERROR(pass(job_.block, hidden, inputs_, [&](InputSite, const DeviceRows& rows) {
      own = rows;
      return Status();
    }));
    ESPARSE_RETURN_IF_ERROR(gathered_[0].add(own));
    DeviceRows stream, dense_stream;
    if (asked(job_.sites[0]).needs.residual) {
      ESPARSE_ASSIGN_OR_RETURN(stream, upload(device_, hidden, stream_));
      ESPARSE_ASSIGN_OR_RETURN(dense_stream, upload(device_, dense_hidden, dense_stream_));
    }
    return gathered_[0].add_dense(own, dense, static_cast<const float*>(stream.data),
                                  static_cast<const float*>(dense_stream.data), hidden.cols);
  }

  Device& device_;
  const Model& model_;
  LayerCache& cache_;
  GatherJob job_;
  std::vector<GpuSiteStatistics> gathered_;  // by job_.sites
  DeviceScratch inputs_, dense_inputs_, stream_, dense_stream_;
};

class GpuBlockRunner final : public BlockRunner {
 public:
  GpuBlockRunner(Device& device, const Model& model, int64_t longest_window)
      : device_(device),
        model_(model),
        cache_(DType::f32, longest_window, model.config().num_kv_heads, model.config().head_dim),
        on_cpu_(make_cpu_block_runner(model, longest_window)) {}

  Result<std::unique_ptr<BlockGathering>> gather(GatherJob job) override {
    return std::unique_ptr<BlockGathering>(std::make_unique<GpuGathering>(device_, model_, cache_, std::move(job)));
  }
  Result<std::unique_ptr<BlockForward>> forward(const DecoderBlock& block) override { return on_cpu_->forward(block); }

 private:
  Device& device_;
  const Model& model_;
  LayerCache cache_;
  std::unique_ptr<BlockRunner> on_cpu_;
};

}  // namespace

std::unique_ptr<BlockRunner> make_gpu_block_runner(Device& device, const Model& model, int64_t longest_window) {
  return std::make_unique<GpuBlockRunner>(device, model, longest_window);
}

}  // namespace esparse
