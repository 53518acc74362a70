// Products with 2:4 weights by a vendor's library. It keeps a copy of the weight in a form of its own, which no other
// code can read and which differs from GPU to GPU and from version to version: never written to a file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// A weight [out, in] as the library keeps it on the device; freed with the object.
class LibraryWeight {
 public:
  virtual ~LibraryWeight() = default;
  virtual int64_t bytes() const = 0;
};

// y (+)= x w^T as GemmArgs has it; x, w and y are all of the weight's 16-bit type, sums in f32.
struct LibraryProduct {
  const void* x = nullptr;
  void* y = nullptr;
  int64_t tokens = 0;  // a multiple of kTokenMultiple
  int64_t x_stride = 0, y_stride = 0;
  bool add = false;
};

class SparseLibrary {
 public:
  // Other numbers of tokens are for the caller to pad.
  static constexpr int64_t kTokenMultiple = 8;
  // Multiples that both sides of a weight must be.
  static constexpr int64_t kSideMultiple = 16;

  virtual ~SparseLibrary() = default;
  // "cuSPARSELt 0.10.0"; fails with the reason where the library is not there.
  virtual Result<std::string> version() const = 0;
  // From a row-major weight on the device; waits. invalid_argument where it is not 2:4 along its rows, unsupported
  // where its sides or its type do not suit the library.
  virtual Result<std::unique_ptr<LibraryWeight>> compress(const void* w, int64_t out, int64_t in, Element type,
                                                          Stream stream) const = 0;
  // As GemmLibrary::gemm(). `weight` is of compress() of this library.
  virtual Status multiply(const LibraryWeight& weight, const LibraryProduct& product, Stream stream) const = 0;
  virtual void set_search(const GemmSearch& search) const = 0;
  virtual std::vector<Status> take_warnings() const = 0;
};

// What every such library asks for; unsupported, with the numbers, where it is not given.
inline Status check_library_weight(int64_t out, int64_t in, Element type) {
  constexpr int64_t kSide = SparseLibrary::kSideMultiple;
  if (type == Element::f32) return unsupported("sparse library: expected weights of 16 bits, got f32");
  if (out % kSide == 0 && in % kSide == 0) return {};
  return unsupported("sparse library: expected multiples of {} on both sides, got {} x {}", kSide, out, in);
}
inline Status check_library_product(const LibraryProduct& product) {
  constexpr int64_t kTokens = SparseLibrary::kTokenMultiple;
  if (product.tokens % kTokens == 0 && product.x_stride % kTokens == 0 && product.y_stride % kTokens == 0) return {};
  return unsupported("sparse library: expected tokens and strides in multiples of {}, got {}, {} and {}", kTokens,
                     product.tokens, product.x_stride, product.y_stride);
}

}  // namespace esparse::cuda
