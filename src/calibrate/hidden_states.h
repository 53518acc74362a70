// The hidden states of all calibration windows in front of one block, in memory or in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "io/positioned_file.h"

namespace esparse {

struct HiddenStatesShape {
  std::vector<int64_t> window_tokens;  // tokens of each window, in order
  int64_t hidden_size = 0;

  int64_t windows() const { return static_cast<int64_t>(window_tokens.size()); }
  int64_t longest_window() const;
  int64_t data_bytes() const;  // of all windows, f32
  bool operator==(const HiddenStatesShape&) const = default;
};

// Window i is a matrix [window_tokens[i], hidden_size] of f32, zero until it is written. Move-only. read() may be
// called from several threads, everything else from one at a time.
//
// A file holds a header and the windows one after the other. The header is written by finish() alone and taken away
// by the next write(), so a file that an interrupted run leaves is never taken for a complete one.
class HiddenStates {
 public:
  // out_of_memory when the windows do not fit.
  static Result<HiddenStates> in_memory(HiddenStatesShape shape);
  // Replaces what is at `path` and takes room on the disk for all windows at once, so that a disk that is too small
  // says so here. `fingerprint` stands for whatever else the states depend on (model, recipe, text, block).
  static Result<HiddenStates> create_file(const std::filesystem::path& path, HiddenStatesShape shape,
                                          uint64_t fingerprint);
  // A finished file. Refused: not_found; corruption for what is no finished file of this format or has the wrong
  // length; invalid_argument for another shape or fingerprint than the caller's.
  static Result<HiddenStates> open_file(const std::filesystem::path& path, HiddenStatesShape shape,
                                        uint64_t fingerprint);

  const HiddenStatesShape& shape() const { return shape_; }
  bool in_file() const { return file_.has_value(); }

  // target and source [window_tokens[window], hidden_size]. Errors name file, place, expected and got bytes.
  Status read(int64_t window, MatrixView<float> target) const;
  Status write(int64_t window, MatrixView<const float> source);
  // Makes the file complete: flushes the windows, then the header. Nothing to do in memory.
  Status finish();

 private:
  HiddenStates(HiddenStatesShape shape, uint64_t fingerprint);
  std::vector<std::byte> header() const;
  int64_t offset(int64_t window) const { return data_begin_ + offsets_[window]; }

  HiddenStatesShape shape_;
  uint64_t fingerprint_;
  int64_t data_begin_ = 0;        // bytes from the begin of the file
  std::vector<int64_t> offsets_;  // bytes from the begin of the data
  std::vector<Matrix<float>> memory_;
  std::optional<PositionedFile> file_;
  bool finished_ = false;  // the file has its header
};

}  // namespace esparse
