// Runs the calibration windows through the model one block at a time, and gathers what the linears of a block see.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "calibrate/block_runner.h"
#include "calibrate/hidden_states.h"
#include "model/model.h"

namespace esparse {

struct CalibrationOptions {
  bool with_dense = false;          // carry the hidden states of the dense model along
  std::filesystem::path directory;  // keep hidden states in files there; empty: in memory
  uint64_t fingerprint = 0;         // of everything that the hidden states depend on; stored in the files
  BlockRunner* runner = nullptr;    // null: the CPU; must outlive the calibration
};

// Holds the hidden states of all windows in front of the next block: windows x seqlen x hidden_size x 4 bytes, twice
// with the dense stream. From files one window at a time is in memory.
class Calibration {
 public:
  // Embeds the windows (ids must be in the vocabulary); the next block is block 0. The model must outlive this object.
  static Result<Calibration> begin(const Model& model, const std::vector<std::vector<int32_t>>& windows,
                                   CalibrationOptions options);
  // Goes on in front of block `layer` with the files that advance() has left there, and removes the directory's others:
  // an interrupted run leaves those of two blocks. Errors say that the run cannot be resumed.
  static Result<Calibration> reopen(const Model& model, const std::vector<std::vector<int32_t>>& windows,
                                    CalibrationOptions options, int64_t layer);

  // Statistics at `sites` of `block`, the next block as it stands now; sites that ask for nothing stay empty. `dense`
  // is the block before pruning. Sites with cross statistics are gathered alone. One pass over the windows as far as
  // the last of the sites, two if entropy is asked for. Refuses activations that are not finite.
  Result<BlockStatistics> gather(const DecoderBlock& block, const DecoderBlock& dense, std::span<const InputSite> sites,
                                 const BlockRequest& request);

  // Sends the hidden states through the block: it is pruned now. Files of the block before stay until
  // forget_previous().
  Status advance(const DecoderBlock& block, const DecoderBlock& dense);
  // Removes the files in front of the block before the next one.
  void forget_previous();

 private:
  Calibration(const Model& model, CalibrationOptions options) : model_(&model), options_(std::move(options)) {}
  std::filesystem::path file(std::string_view stream, int64_t layer) const;
  Result<HiddenStates> make_states(std::string_view stream, int64_t layer) const;
  Status advance_stream(std::string_view stream, const DecoderBlock& block, std::optional<HiddenStates>& states);
  // body() gets the hidden states of each window, to work in.
  Status for_each_window(const std::function<Status(int64_t window, MatrixView<float> hidden)>& body) const;
  void remove_other_files() const;
  void set_shape(const std::vector<std::vector<int32_t>>& windows);

  const Model* model_;
  CalibrationOptions options_;
  HiddenStatesShape shape_;
  int64_t total_tokens_ = 0;
  int64_t layer_ = 0;  // the next block
  std::optional<HiddenStates> states_, dense_states_;
  std::unique_ptr<BlockRunner> cpu_;  // where no other is given
  BlockRunner* runner_ = nullptr;
};

}  // namespace esparse
