#include "gpu/device_plan.h"

#include <algorithm>

#include "kernels/cuda/few_bits.h"
#include "kernels/cuda/few_linear.h"

namespace esparse {

std::string_view path_name(DevicePath path) {
  switch (path) {
    case DevicePath::few:
      return "few";
    case DevicePath::bits:
      return "bits";
    case DevicePath::sparse_library:
      return "sparse-library";
    case DevicePath::sparse_gemm:
      return "sparse-gemm";
    case DevicePath::expand:
      return "expand";
    case DevicePath::library:
      return "library";
  }
  return "";
}

std::string_view form_name(DeviceForm form) {
  switch (form) {
    case DeviceForm::dense:
      return "dense";
    case DeviceForm::tiles:
      return "2:4 tiles";
    case DeviceForm::bits:
      return "rows of bits";
    case DeviceForm::spense_tiles:
      return "Spense of 2:4 tiles";
    case DeviceForm::spense_bits:
      return "Spense of rows of bits";
  }
  return "";
}

std::vector<DevicePath> possible_paths(DeviceForm form, const cuda::DeviceInfo& gpu, int64_t tokens,
                                       bool library_copy) {
  const bool tensor_cores = gpu.compute_major >= 8;
  const bool of_tiles = form == DeviceForm::tiles || form == DeviceForm::spense_tiles;
  const bool of_bits = form == DeviceForm::bits || form == DeviceForm::spense_bits;
  std::vector<DevicePath> paths;
  if (tensor_cores && !of_bits && tokens <= cuda::kFewTokens) paths.push_back(DevicePath::few);
  if (of_bits && tokens <= cuda::kBitTokens) paths.push_back(DevicePath::bits);
  if (tensor_cores && of_tiles && library_copy) paths.push_back(DevicePath::sparse_library);
  if (tensor_cores && of_tiles) paths.push_back(DevicePath::sparse_gemm);
  paths.push_back(form == DeviceForm::dense ? DevicePath::library : DevicePath::expand);
  return paths;
}

// - 2:4 up to 64 tokens: the tiles are read once, 9 bits a weight, against 16 that the library reads.
// - 2:4 beyond: mma.sp does two columns' work in one, and expansion writes and reads 16 bits a weight besides. The
//   library's instructions are those of the chip's generation; where somebody made it a copy, that is used.
// - Rows of bits: an expanded weight costs 8 or 9 instructions, and 2 to 3 a token more; from about eight tokens on
//   that is slower than expanding once for the library.
// - Dense: the library, which is tuned for the chip.
DevicePlan default_plan(DeviceForm form, const cuda::DeviceInfo& gpu, bool library_copy) {
  DevicePlan plan;
  for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket) {
    const int64_t tokens = kTokenBuckets[bucket];
    const auto possible = possible_paths(form, gpu, tokens, library_copy);
    const bool many_for_bits = possible.front() == DevicePath::bits && tokens > 8;
    plan.paths[bucket] = form == DeviceForm::dense || many_for_bits ? possible.back() : possible.front();
  }
  return plan;
}

}  // namespace esparse
