#include "kernels/narrow.h"

#include "base/parallel.h"
#include "kernels/attention_kernels.h"

namespace esparse {

void narrow_rows(MatrixView<const float> source, DType dtype, std::byte* target) {
  const int64_t row_bytes = source.cols * dtype_bytes(dtype);
  parallel_for_sized(source.rows, source.rows * source.cols, [&](int64_t row, int) {
    kernels<AttentionKernels>().narrow(dtype, source.row(row).data(), target + row * row_bytes, source.cols);
  });
}

}  // namespace esparse
