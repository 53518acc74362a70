#include <algorithm>
#include <functional>
#include <span>

#include "calibrate/block_runner.h"

namespace esparse {
namespace {

// Copies the inputs at the last site asked for, and ends the pass there.
class Capture final : public InputObserver {
 public:
  explicit Capture(InputSite site) : site_(site) {}
  bool observe(InputSite site, MatrixView<const float> inputs) override {
    if (site != site_) return true;
    captured_ = Matrix<float>(inputs.rows, inputs.cols);
    for (int64_t t = 0; t < inputs.rows; ++t) std::ranges::copy(inputs.row(t), captured_.row(t).begin());
    return false;
  }
  Matrix<float> captured_;

 private:
  InputSite site_;
};

// Calls `add` at each of the sites, and ends the pass at the last one.
class Visit final : public InputObserver {
 public:
  Visit(std::span<const InputSite> sites, std::function<void(InputSite, MatrixView<const float>)> add)
      : sites_(sites), add_(std::move(add)) {}
  bool observe(InputSite site, MatrixView<const float> inputs) override {
    if (std::ranges::find(sites_, site) != sites_.end()) add_(site, inputs);
    return site != sites_.back();
  }

 private:
  std::span<const InputSite> sites_;
  std::function<void(InputSite, MatrixView<const float>)> add_;
};

class CpuGathering final : public SiteGathering<SiteStatistics> {
 public:
  CpuGathering(const Model& model, LayerCache& cache, GatherJob job)
      : SiteGathering(std::move(job)), model_(model), cache_(cache) {
    for (InputSite site : job_.sites) gathered_.emplace_back(asked(site), job_.total_tokens);
  }

  Status add(MatrixView<float> hidden, MatrixView<float> dense_hidden) override {
    if (asked(job_.sites[0]).needs.cross) {
      Capture here(job_.sites[0]), there(job_.sites[0]);
      model_.forward_block(job_.dense, dense_hidden, 0, cache_, &there);
      model_.forward_block(job_.block, hidden, 0, cache_, &here);
      gathered_[0].add(here.captured_.view());
      gathered_[0].add_dense(here.captured_.view(), there.captured_.view(), hidden, dense_hidden);
      return {};
    }
    Visit visit(job_.sites, [&](InputSite site, MatrixView<const float> inputs) { of(site).add(inputs); });
    model_.forward_block(job_.block, hidden, 0, cache_, &visit);
    return {};
  }

  Status count(MatrixView<float> hidden) override {
    Visit visit(job_.sites, [&](InputSite site, MatrixView<const float> inputs) {
      if (asked(site).needs.entropy) of(site).count(inputs);
    });
    model_.forward_block(job_.block, hidden, 0, cache_, &visit);
    return {};
  }

 private:
  const Model& model_;
  LayerCache& cache_;
};

class CpuForward final : public BlockForward {
 public:
  CpuForward(const Model& model, LayerCache& cache, const DecoderBlock& block)
      : model_(model), cache_(cache), block_(block) {}
  Status run(MatrixView<float> hidden) override {
    model_.forward_block(block_, hidden, 0, cache_, nullptr);
    return {};
  }

 private:
  const Model& model_;
  LayerCache& cache_;
  const DecoderBlock& block_;
};

class CpuBlockRunner final : public BlockRunner {
 public:
  CpuBlockRunner(const Model& model, int64_t longest_window)
      : model_(model), cache_(DType::f32, longest_window, model.config().num_kv_heads, model.config().head_dim) {}
  Result<std::unique_ptr<BlockGathering>> gather(GatherJob job) override {
    return std::unique_ptr<BlockGathering>(std::make_unique<CpuGathering>(model_, cache_, std::move(job)));
  }
  Result<std::unique_ptr<BlockForward>> forward(const DecoderBlock& block) override {
    return std::unique_ptr<BlockForward>(std::make_unique<CpuForward>(model_, cache_, block));
  }

 private:
  const Model& model_;
  LayerCache cache_;  // scratch for the keys and values of one window
};

}  // namespace

std::unique_ptr<BlockRunner> make_cpu_block_runner(const Model& model, int64_t longest_window) {
  return std::make_unique<CpuBlockRunner>(model, longest_window);
}

std::string site_label(const DecoderBlock& block, InputSite site) {
  return fmt::format("{}: site {}", block.name, input_site_name(site));
}

}  // namespace esparse
