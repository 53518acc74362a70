// Dense products on the device, by a library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// y (+)= x w^T: x [tokens, in], w [out, in], y [tokens, out], row-major; sums in f32. f32 inputs are multiplied as f32
// (no TF32). Strides are elements from one row to the next.
struct GemmArgs {
  const void* x = nullptr;
  const void* w = nullptr;
  void* y = nullptr;
  int64_t tokens = 0, in = 0, out = 0;
  int64_t x_stride = 0, w_stride = 0, y_stride = 0;
  Element type = Element::bf16;    // of x and w
  Element y_type = Element::bf16;  // `type`, or f32
  bool add = false;                // y += instead of y =
  // Where the library splits a sum into parts, the parts may be rounded to y's type before they are added: what it does
  // left to itself, and faster at times.
  bool rounded_parts = false;
};

// How a library chooses among its algorithms.
struct GemmSearch {
  // Measure them when a product is seen for the first time, if it has up to 64 tokens or a multiple of 64 (others
  // seldom come twice). Else take the library's own first proposal, which is the same in every run: sums are then added
  // in the same order, so results are the same bytes.
  bool measure = false;
  std::filesystem::path file;  // what was measured is kept there; empty: nowhere
};

class GemmLibrary {
 public:
  virtual ~GemmLibrary() = default;
  // Asynchronous, in the order of the stream; may be captured into a graph when the same shape has run before. Errors
  // name shape and library call.
  virtual Status gemm(const GemmArgs& args, Stream stream) const = 0;
  // Holds for calls from now on. Without it nothing is measured.
  virtual void set_search(const GemmSearch& search) const = 0;
  // "cuBLASLt 13.0.2"; fails with the reason where the library is not there.
  virtual Result<std::string> version() const = 0;
  // What went wrong with the file of the search since the last call; products are not affected.
  virtual std::vector<Status> take_warnings() const = 0;
};

}  // namespace esparse::cuda
