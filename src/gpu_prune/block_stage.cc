#include "gpu_prune/block_stage.h"

#include <algorithm>
#include <numeric>

namespace esparse {

BlockStage::BlockStage(Device& device, const Model& model, int64_t longest_window)
    : device_(device), longest_window_(std::max<int64_t>(longest_window, 1)) {
  model_.config = model.config();
  model_.type = gpu_element(model);
}

Result<GpuBlock> BlockStage::upload(const DecoderBlock& block) {
  ESPARSE_ASSIGN_OR_RETURN(GpuBlock uploaded, GpuBlock::upload(device_, block, model_.type));
  ESPARSE_RETURN_IF_ERROR(make_room(uploaded));
  ESPARSE_RETURN_IF_ERROR(device_.synchronize());  // the checkpoint's pages may go
  return uploaded;
}

// All at the first block; later ones may need more memory for their products, being packed.
Status BlockStage::make_room(GpuBlock& block) {
  if (sequence_ == nullptr) {
    model_.blocks.push_back(std::move(block));  // a workspace is made for a model
    auto space = GpuWorkspace::make(device_, model_, longest_window_);
    block = std::move(model_.blocks.back());
    model_.blocks.clear();
    if (!space.ok()) return space.status();
    space_ = std::move(space).value();
    std::vector<int32_t> positions(static_cast<size_t>(longest_window_));
    std::iota(positions.begin(), positions.end(), 0);
    ESPARSE_RETURN_IF_ERROR(device_.upload_to(space_.positions.data(), std::as_bytes(std::span(positions))));
    ESPARSE_ASSIGN_OR_RETURN(sequence_, GpuSequence::make(device_, model_.config, 1, longest_window_, model_.type));
    ESPARSE_ASSIGN_OR_RETURN(RotaryTable table, RotaryTable::upload(device_, model_.config, longest_window_));
    sequence_->rotary = std::make_shared<const RotaryTable>(std::move(table));
  }
  const int64_t bytes = block.scratch_bytes(longest_window_);
  if (bytes > space_.scratch.memory.bytes()) {
    space_.scratch = {};
    ESPARSE_ASSIGN_OR_RETURN(space_.scratch, make_linear_scratch(device_, bytes));
  }
  return {};
}

Status BlockStage::run(const GpuBlock& block, MatrixView<const float> hidden, GpuInputObserver* observer) {
  ESPARSE_CHECK(hidden.rows <= longest_window_ && hidden.stride == hidden.cols);
  const std::span all(hidden.data, static_cast<size_t>(hidden.rows * hidden.cols));
  ESPARSE_RETURN_IF_ERROR(device_.upload_to(space_.hidden.data(), std::as_bytes(all)));
  const Segment window{hidden.rows, 0};
  return GpuForward(device_, model_, space_)
      .block(block, space_.positions.as<int32_t>(), std::span(&window, 1), *sequence_, observer);
}

}  // namespace esparse
