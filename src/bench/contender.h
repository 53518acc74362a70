// A way to compute y = x W^T that a benchmark runs, and the proof that it computes that.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "base/status.h"
#include "bench/cold_weights.h"

namespace esparse {

// The operands of one product. Contenders keep views of them: it stays where it is.
struct Product {
  // Random x; `values` are the dense weights, to which `pattern` is yet to be applied.
  Product(const Matrix<float>& values, int64_t tokens);
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  const Matrix<float>& values;
  Matrix<float> x;  // [tokens, in_features]
  Matrix<float> y;  // [tokens, out_features]
};

struct Contender {
  std::string kernel;
  std::function<void()> run;  // writes product.y, every time with another copy of the weight
  int64_t weight_bytes = 0;   // that one run reads
};

// linear() on each path that is possible. `weights` and `product` must live as long as the contenders.
std::vector<Contender> linear_contenders(ColdWeights& weights, Product& product);
// oneDNN in f32, and in `dtype` where this processor's oneDNN has it.
std::vector<Contender> onednn_contenders(DType dtype, Product& product);

// How outputs were rounded beyond what f32 is: to nearest, with a unit roundoff of `unit` (bf16: 2^-8).
struct OutputRounding {
  double unit = 0;
  bool of_parts = false;  // sums of parts of a row too, before they were added
};

// Compares outputs spread over product.y, which `kernel` has written, with sums in double of `values` with `pattern`
// applied. Refuses, by kernel and place, an output that is off by more than rounding (of x and y to dtype too) explains
// or was not written (NaN), and a result of zeros.
Status check_product(const std::string& kernel, DType dtype, const BenchPattern& pattern, const Product& product,
                     const OutputRounding& rounding = {});

// check_product() of what one run writes.
Status check_contender(const Contender& contender, DType dtype, const BenchPattern& pattern, Product& product);

}  // namespace esparse
