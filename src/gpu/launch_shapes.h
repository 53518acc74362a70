// How products are cut into blocks of threads, decided on the host from shape, tokens and GPU alone, so that the same
// product gives the same bits in every run.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/cuda/few_linear.h"
#include "kernels/cuda/prefill_linear.h"

namespace esparse {

struct FewShape {
  int config = 0;             // of cuda::kFewConfigs
  int64_t blocks = 0;         // of rows
  int splits = 1;             // blocks that share the columns of the same rows
  int64_t block_bytes = 0;    // that the largest block moves: weights, x, partial sums
  int64_t partial_bytes = 0;  // of scratch memory
  // "256 blocks of 16 rows x 8 tokens, 1 x 8 warps, columns in 1, 80.0 KiB each"
  std::string text() const;
};

// The rows of a block and the number of splits with the least work for the busiest multiprocessor. `args` needs
// regions, tokens and `stacked` only.
FewShape few_shape(cuda::FewArgs args, int multiprocessors);

// The larger blocks, unless they leave multiprocessors without work.
int prefill_config(int64_t rows, int64_t tokens, int multiprocessors);

}  // namespace esparse
