#include "calibrate/calibration.h"

namespace esparse {
namespace {

constexpr std::string_view kStream = "hidden", kDenseStream = "dense-hidden";

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
  if (options_.runner == nullptr) cpu_ = make_cpu_block_runner(*model_, windows.empty() ? 0 : shape_.longest_window());
  runner_ = options_.runner != nullptr ? options_.runner : cpu_.get();
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

Status Calibration::for_each_window(const std::function<Status(int64_t window, MatrixView<float> hidden)>& body) const {
  for (int64_t window = 0; window < shape_.windows(); ++window) {
    Matrix<float> hidden(shape_.window_tokens[window], shape_.hidden_size);
    ESPARSE_RETURN_IF_ERROR(states_->read(window, hidden.view()));
    ESPARSE_RETURN_IF_ERROR(body(window, hidden.view()));
  }
  return {};
}

Result<BlockStatistics> Calibration::gather(const DecoderBlock& block, const DecoderBlock& dense,
                                            std::span<const InputSite> sites, const BlockRequest& request) {
  GatherJob job{block, dense, {}, request, total_tokens_};
  bool entropy = false, cross = false;
  for (InputSite site : sites) {
    const StatisticsNeeds& needs = request[static_cast<size_t>(site)].needs;
    if (!needs.any()) continue;
    job.sites.push_back(site);
    entropy |= needs.entropy, cross |= needs.cross;
  }
  if (job.sites.empty()) return BlockStatistics();
  ESPARSE_CHECK(!cross || (job.sites.size() == 1 && dense_states_.has_value()));
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<BlockGathering> gathering, runner_->gather(std::move(job)));

  const auto add = [&](int64_t window, MatrixView<float> hidden) -> Status {
    if (!cross) return gathering->add(hidden, {});
    Matrix<float> dense_hidden(hidden.rows, hidden.cols);
    ESPARSE_RETURN_IF_ERROR(dense_states_->read(window, dense_hidden.view()));
    return gathering->add(hidden, dense_hidden.view());
  };
  ESPARSE_RETURN_IF_ERROR(for_each_window(add));
  if (entropy) {
    ESPARSE_RETURN_IF_ERROR(gathering->begin_counting());
    ESPARSE_RETURN_IF_ERROR(
        for_each_window([&](int64_t, MatrixView<float> hidden) { return gathering->count(hidden); }));
  }
  return gathering->finish();
}

Status Calibration::advance_stream(std::string_view stream, const DecoderBlock& block,
                                   std::optional<HiddenStates>& states) {
  if (!states) return {};
  std::optional<HiddenStates> next;  // a file of its own, so that an interruption leaves the one before
  if (states->in_file()) {
    ESPARSE_ASSIGN_OR_RETURN(HiddenStates file_states, make_states(stream, layer_ + 1));
    next.emplace(std::move(file_states));
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<BlockForward> forward, runner_->forward(block));
  for (int64_t window = 0; window < shape_.windows(); ++window) {
    Matrix<float> hidden(shape_.window_tokens[window], shape_.hidden_size);
    ESPARSE_RETURN_IF_ERROR(states->read(window, hidden.view()));
    ESPARSE_RETURN_IF_ERROR(forward->run(hidden.view()));
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
