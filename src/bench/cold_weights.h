// One random weight in the form the engine runs it in, several times over: used in turn, every use finds its copy out
// of the caches, as a model larger than them does.
#pragma once

#include <span>
#include <vector>

#include "base/large_bytes.h"
#include "base/matrix.h"
#include "base/status.h"
#include "bench/bench_pattern.h"
#include "bench/random_weight.h"
#include "kernels/weight.h"

namespace esparse {

class ColdWeights {
 public:
  // `values` with the pattern applied, packed as a checkpoint has it and arranged as the engine does at load.
  static Result<ColdWeights> create(const Matrix<float>& values, DType dtype, const BenchPattern& pattern);

  const WeightView& next() {
    turn_ = (turn_ + 1) % views_.size();
    return views_[turn_];
  }
  const WeightView& any() const { return views_.front(); }
  int64_t weight_bytes() const { return weight_bytes_; }  // of one copy: what one product has to read

 private:
  Status add_copies(const Matrix<float>& values, DType dtype, const BenchPattern& pattern);
  Status add_spense(std::span<const std::byte> bytes, DType dtype, int64_t out_features, int64_t in_features,
                    const BenchPattern& pattern);

  std::vector<LargeBytes> dense_;
  std::vector<NmMatrix> packed_;
  std::vector<BitmapMatrix> bitmaps_;
  std::vector<NmTiles> tiles_;
  std::vector<WeightView> views_;
  int64_t weight_bytes_ = 0;
  size_t turn_ = 0;
};

}  // namespace esparse
