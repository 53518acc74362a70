// What sends calibration windows through one block and gathers what its linears see: the CPU, or a GPU (gpu_prune/).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "calibrate/site_statistics.h"
#include "calibrate/statistics.h"
#include "model/model.h"

namespace esparse {

// By input site; index with static_cast<size_t>(InputSite).
using BlockStatistics = std::array<InputStatistics, kInputSites.size()>;
using BlockRequest = std::array<SiteRequest, kInputSites.size()>;

struct GatherJob {
  const DecoderBlock& block;     // as it stands now
  const DecoderBlock& dense;     // before pruning; read where cross statistics are asked for
  std::vector<InputSite> sites;  // not empty, in the order of the forward pass; one alone where it asks for cross
  BlockRequest request;
  int64_t total_tokens = 0;  // of all windows
};

// The statistics of one job: add() every window; if entropy is asked for, begin_counting() and count() every window
// again; then finish(). Passes end at the last of the sites.
class BlockGathering {
 public:
  virtual ~BlockGathering() = default;
  // hidden [tokens, hidden_size] in front of the block, and with cross what the dense model has there (otherwise
  // empty). Both are working memory: what they hold afterwards is of no use.
  virtual Status add(MatrixView<float> hidden, MatrixView<float> dense_hidden) = 0;
  // Refuses inputs that were not finite, and names the site; so does finish().
  virtual Status begin_counting() = 0;
  virtual Status count(MatrixView<float> hidden) = 0;
  virtual Result<BlockStatistics> finish() = 0;
};

// "model.layers.0: site down", for errors.
std::string site_label(const DecoderBlock& block, InputSite site);

// The part of it that is the same wherever the block runs. Statistics: SiteStatistics, or what a GPU has for them.
template <typename Statistics>
class SiteGathering : public BlockGathering {
 public:
  Status begin_counting() override {
    for (InputSite site : job_.sites)
      if (asked(site).needs.entropy)
        ESPARSE_RETURN_IF_ERROR(of(site).begin_counting().with_context(site_label(job_.block, site)));
    return {};
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

 protected:
  explicit SiteGathering(GatherJob job) : job_(std::move(job)) {}
  const SiteRequest& asked(InputSite site) const { return job_.request[static_cast<size_t>(site)]; }
  Statistics& of(InputSite site) {
    return gathered_[static_cast<size_t>(std::ranges::find(job_.sites, site) - job_.sites.begin())];
  }

  GatherJob job_;
  std::vector<Statistics> gathered_;  // by job_.sites; filled by whoever derives
};

// Sends hidden states [tokens, hidden_size] of one window through a block, in place.
class BlockForward {
 public:
  virtual ~BlockForward() = default;
  virtual Status run(MatrixView<float> hidden) = 0;
};

// One job or forward at a time. The blocks must live as long as what is made for them.
class BlockRunner {
 public:
  virtual ~BlockRunner() = default;
  virtual Result<std::unique_ptr<BlockGathering>> gather(GatherJob job) = 0;
  virtual Result<std::unique_ptr<BlockForward>> forward(const DecoderBlock& block) = 0;
};

// On the CPU, in f32; the same bits for any thread count. `longest_window` in tokens.
std::unique_ptr<BlockRunner> make_cpu_block_runner(const Model& model, int64_t longest_window);

}  // namespace esparse
