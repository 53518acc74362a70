#include "kernels/linear_plan.h"

#include <algorithm>

namespace esparse {

std::string_view path_name(LinearPath path) {
  switch (path) {
    case LinearPath::few:
      return "few";
    case LinearPath::sparse_gemm:
      return "sparse-gemm";
    case LinearPath::dense_gemm:
      return "dense-gemm";
  }
  return "?";
}

int token_bucket(int64_t tokens) {
  const auto* bucket = std::lower_bound(kTokenBuckets.begin(), kTokenBuckets.end(), tokens);
  return static_cast<int>(bucket - kTokenBuckets.begin());
}

}  // namespace esparse
