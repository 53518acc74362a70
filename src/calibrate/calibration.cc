#include "calibrate/calibration.h"

#include <algorithm>
#include <functional>

namespace esparse {
namespace {

constexpr std::string_view kStream = "hidden", kDenseStream = "dense-hidden";

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

}  // namespace

std::filesystem::path Calibration::file(std::string_view stream, int64_t layer) const {
  return options_.directory / fmt::format("{}-{}.bin", stream, layer);
}

void Calibration::set_shape(const std::vector<std::vector<int32_t>>& windows) {
  shape_.hidden_size = model_->config().hidden_size;
  for (const auto& window : windows) {
    shape_.window_tokens.push_back(static_cast<int64_t>(window.size()));
    total_tokens_ += shape_.window_tokens.back();
  }
  const int64_t longest = windows.empty() ? 0 : shape_.longest_window();
  cache_ = LayerCache(DType::f32, longest, model_->config().num_kv_heads, model_->config().head_dim);
}

Result<HiddenStates> Calibration::make_states(std::string_view stream, int64_t layer) const {
  if (options_.directory.empty()) return HiddenStates::in_memory(shape_);
  return HiddenStates::create_file(file(stream, layer), shape_, options_.fingerprint + static_cast<uint64_t>(layer));
}

Result<Calibration> Calibration::begin(const Model& model, const std::vector<std::vector<int32_t>>& windows,
                                       CalibrationOptions options) {
  Calibration calibration(model, std::move(options));
  calibration.set_shape(windows);
  if (windows.empty()) return calibration;
  ESPARSE_ASSIGN_OR_RETURN(HiddenStates states, calibration.make_states(kStream, 0));
  calibration.states_.emplace(std::move(states));
  if (calibration.options_.with_dense) {
    ESPARSE_ASSIGN_OR_RETURN(HiddenStates dense, calibration.make_states(kDenseStream, 0));
    calibration.dense_states_.emplace(std::move(dense));
  }
  for (size_t w = 0; w < windows.size(); ++w) {
    Matrix<float> hidden(calibration.shape_.window_tokens[w], calibration.shape_.hidden_size);
    model.embed(windows[w], 0, hidden.view());
    ESPARSE_RETURN_IF_ERROR(calibration.states_->write(static_cast<int64_t>(w), hidden.view()));
    if (calibration.dense_states_)
      ESPARSE_RETURN_IF_ERROR(calibration.dense_states_->write(static_cast<int64_t>(w), hidden.view()));
  }
  model.checkpoint().tensors.release_pages(std::string_view());  // the embedding may be larger than a block
  ESPARSE_RETURN_IF_ERROR(calibration.states_->finish());
  if (calibration.dense_states_) ESPARSE_RETURN_IF_ERROR(calibration.dense_states_->finish());
  return calibration;
}

Result<Calibration> Calibration::reopen(const Model& model, const std::vector<std::vector<int32_t>>& windows,
                                        CalibrationOptions options, int64_t layer) {
  Calibration calibration(model, std::move(options));
  calibration.set_shape(windows);
  calibration.layer_ = layer;
  const auto open = [&](std::string_view stream) -> Result<HiddenStates> {
    auto states = HiddenStates::open_file(calibration.file(stream, layer), calibration.shape_,
                                          calibration.options_.fingerprint + static_cast<uint64_t>(layer));
    if (!states.ok()) return states.status().with_context("cannot resume (--force starts over)");
    return states;
  };
  ESPARSE_ASSIGN_OR_RETURN(HiddenStates states, open(kStream));
  calibration.states_.emplace(std::move(states));
  if (calibration.options_.with_dense) {
    ESPARSE_ASSIGN_OR_RETURN(HiddenStates dense, open(kDenseStream));
    calibration.dense_states_.emplace(std::move(dense));
  }
  calibration.remove_other_files();
  return calibration;
}

void Calibration::remove_other_files() const {
  std::error_code ignored;
  std::vector<std::filesystem::path> others;
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory, ignored))
    if (entry.path() != file(kStream, layer_) && entry.path() != file(kDenseStream, layer_))
      others.push_back(entry.path());
  for (const auto& path : others) std::filesystem::remove_all(path, ignored);
}

Status Calibration::run(const DecoderBlock& block, const HiddenStates& states, int64_t window, Matrix<float>& hidden,
                        InputObserver& observer) {
  hidden = Matrix<float>(shape_.window_tokens[window], shape_.hidden_size);
  ESPARSE_RETURN_IF_ERROR(states.read(window, hidden.view()));
  model_->forward_block(block, hidden.view(), 0, cache_, &observer);
  return {};
}

Result<BlockStatistics> Calibration::gather(const DecoderBlock& block, const DecoderBlock& dense,
                                            std::span<const InputSite> sites, const BlockRequest& request) {
  BlockStatistics result;
  std::vector<InputSite> wanted;
  std::vector<SiteStatistics> gathered;
  bool entropy = false, cross = false;
  for (InputSite site : sites) {
    const SiteRequest& asked = request[static_cast<size_t>(site)];
    if (!asked.needs.any()) continue;
    wanted.push_back(site);
    gathered.emplace_back(asked, total_tokens_);
    entropy |= asked.needs.entropy;
    cross |= asked.needs.cross;
  }
  if (wanted.empty()) return result;
  ESPARSE_CHECK(!cross || (wanted.size() == 1 && dense_states_.has_value()));
  const auto of = [&](InputSite site) -> SiteStatistics& {
    return gathered[std::ranges::find(wanted, site) - wanted.begin()];
  };

  Matrix<float> hidden, dense_hidden;
  for (int64_t window = 0; window < shape_.windows(); ++window) {
    if (cross) {
      Capture here(wanted[0]), there(wanted[0]);
      ESPARSE_RETURN_IF_ERROR(run(dense, *dense_states_, window, dense_hidden, there));
      ESPARSE_RETURN_IF_ERROR(run(block, *states_, window, hidden, here));
      of(wanted[0]).add(here.captured_.view());
      of(wanted[0]).add_dense(here.captured_.view(), there.captured_.view(), hidden.view(), dense_hidden.view());
    } else {
      Visit visit(wanted, [&](InputSite site, MatrixView<const float> inputs) { of(site).add(inputs); });
      ESPARSE_RETURN_IF_ERROR(run(block, *states_, window, hidden, visit));
    }
  }
  if (entropy) {
    for (InputSite site : wanted)
      if (request[static_cast<size_t>(site)].needs.entropy)
        ESPARSE_RETURN_IF_ERROR(
            of(site).begin_counting().with_context(fmt::format("{}: {}", block.name, input_site_name(site))));
    for (int64_t window = 0; window < shape_.windows(); ++window) {
      Visit visit(wanted, [&](InputSite site, MatrixView<const float> inputs) {
        if (request[static_cast<size_t>(site)].needs.entropy) of(site).count(inputs);
      });
      ESPARSE_RETURN_IF_ERROR(run(block, *states_, window, hidden, visit));
    }
  }
  for (InputSite site : wanted) {
    auto statistics = of(site).finish();
    if (!statistics.ok())
      return statistics.status().with_context(fmt::format("{}: site {}", block.name, input_site_name(site)));
    result[static_cast<size_t>(site)] = std::move(statistics).value();
  }
  return result;
}

Status Calibration::advance_stream(std::string_view stream, const DecoderBlock& block,
                                   std::optional<HiddenStates>& states) {
  if (!states) return {};
  std::optional<HiddenStates> next;  // a file of its own, so that an interruption leaves the one before
  if (states->in_file()) {
    ESPARSE_ASSIGN_OR_RETURN(HiddenStates file_states, make_states(stream, layer_ + 1));
    next.emplace(std::move(file_states));
  }
  for (int64_t window = 0; window < shape_.windows(); ++window) {
    Matrix<float> hidden(shape_.window_tokens[window], shape_.hidden_size);
    ESPARSE_RETURN_IF_ERROR(states->read(window, hidden.view()));
    model_->forward_block(block, hidden.view(), 0, cache_, nullptr);
    ESPARSE_RETURN_IF_ERROR((next ? *next : *states).write(window, hidden.view()));
  }
  if (next) states.emplace(std::move(*next));
  return states->finish();
}

Status Calibration::advance(const DecoderBlock& block, const DecoderBlock& dense) {
  ESPARSE_RETURN_IF_ERROR(advance_stream(kStream, block, states_));
  ESPARSE_RETURN_IF_ERROR(advance_stream(kDenseStream, dense, dense_states_));
  ++layer_;
  return {};
}

void Calibration::forget_previous() {
  if (options_.directory.empty()) return;
  std::error_code ignored;
  for (std::string_view stream : {kStream, kDenseStream}) std::filesystem::remove(file(stream, layer_ - 1), ignored);
}

}  // namespace esparse
