// Blocks of 128 columns: a kernel sweeps the block in all rows, then one product takes from all columns behind it what
// the block's errors owe them. 2 * out * in * (in - 128) / 2 operations of f32 products, out * in * 64 in the kernel;
// the weights are read and written once a block.
#include <algorithm>

#include "base/matrix.h"
#include "gpu_prune/gpu_accelerator.h"
#include "kernels/cuda/obs.h"
#include "kernels/cuda/statistics.h"

namespace esparse {
namespace {

using cuda::Element;
using cuda::kObsColumns;

// A host matrix without the room between its rows.
template <typename T>
Result<DeviceBytes> upload_rows(Device& device, MatrixView<const T> matrix, std::string_view what) {
  const int64_t row_bytes = matrix.cols * int64_t{sizeof(T)};
  if (matrix.stride == matrix.cols)
    return device.upload(std::as_bytes(std::span(matrix.data, static_cast<size_t>(matrix.rows * matrix.cols))), what);
  ESPARSE_ASSIGN_OR_RETURN(DeviceBytes memory, device.allocate(matrix.rows * row_bytes, what));
  for (int64_t row = 0; row < matrix.rows; ++row)
    ESPARSE_RETURN_IF_ERROR(device.upload_to(memory.data() + row * row_bytes, std::as_bytes(matrix.row(row))));
  return memory;
}

template <typename T>
Status download_rows(Device& device, const DeviceBytes& memory, MatrixView<T> matrix) {
  if (matrix.stride == matrix.cols)
    return device.download(
        std::as_writable_bytes(std::span(matrix.data, static_cast<size_t>(matrix.rows * matrix.cols))), memory.data());
  for (int64_t row = 0; row < matrix.rows; ++row)
    ESPARSE_RETURN_IF_ERROR(device.download(std::as_writable_bytes(matrix.row(row)),
                                            memory.data() + row * matrix.cols * int64_t{sizeof(T)}));
  return {};
}

class GpuSweep {
 public:
  GpuSweep(Device& device, int64_t rows, int64_t columns) : device_(device), rows_(rows), columns_(columns) {}

  Status load(MatrixView<const float> weight, MatrixView<const float> u, MatrixView<const uint8_t> mask) {
    ESPARSE_ASSIGN_OR_RETURN(weight_, upload_rows(device_, weight, "weights of the OBS sweep"));
    ESPARSE_ASSIGN_OR_RETURN(mask_, upload_rows(device_, mask, "mask of the OBS sweep"));
    ESPARSE_ASSIGN_OR_RETURN(errors_, device_.allocate(rows_ * kObsColumns * 4, "errors of the OBS sweep"));
    ESPARSE_ASSIGN_OR_RETURN(losses_, device_.allocate(rows_ * int64_t{sizeof(double)}, "losses of the OBS sweep"));
    ESPARSE_RETURN_IF_ERROR(
        device_.backend().runtime->fill_bytes(losses_.data(), 0, losses_.bytes(), device_.stream()));
    // The product wants U by columns.
    ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes by_rows, upload_rows(device_, u, "factor of the inverse Gram matrix"));
    ESPARSE_ASSIGN_OR_RETURN(u_transposed_, device_.allocate(by_rows.bytes(), "factor of the inverse Gram matrix"));
    const cuda::TransposeArgs args{{by_rows.data(), Element::f32, columns_, columns_, columns_},
                                   nullptr,
                                   u_transposed_.data(),
                                   Element::f32,
                                   columns_,
                                   columns_};
    ESPARSE_RETURN_IF_ERROR(device_.launched(device_.backend().statistics->transpose(args, device_.stream()),
                                             "transpose", {columns_, columns_}));
    return device_.synchronize();  // by_rows goes
  }

  // Columns [first, first + count); then what they owe those behind.
  Status sweep(int64_t first, int64_t count, std::optional<NmPattern> pattern) {
    cuda::ObsBlockArgs args{};
    args.weight = weight_.as<float>() + first;
    args.u_transposed = u_transposed_.as<float>() + first * columns_ + first;
    args.mask = mask_.as<uint8_t>() + first;
    args.errors = errors_.as<float>();
    args.losses = losses_.as<double>();
    args.weight_stride = args.u_stride = args.mask_stride = columns_;
    args.rows = static_cast<int>(rows_), args.columns = static_cast<int>(count);
    if (pattern) args.kept = pattern->kept, args.group = pattern->group;
    ESPARSE_RETURN_IF_ERROR(device_.launched(device_.backend().obs->sweep_block(args, device_.stream()),
                                             "OBS sweep of a block", {rows_, count}));
    const int64_t behind = first + count;
    if (behind == columns_) return {};
    cuda::GemmArgs product;
    product.x = errors_.data();
    product.w = u_transposed_.as<float>() + behind * columns_ + first;
    product.y = weight_.as<float>() + behind;
    product.tokens = rows_, product.in = count, product.out = columns_ - behind;
    product.x_stride = kObsColumns, product.w_stride = product.y_stride = columns_;
    product.type = product.y_type = Element::f32, product.add = true;
    return device_.backend().gemm->gemm(product, device_.stream());
  }

  Result<double> finish(MatrixView<float> weight, MatrixView<uint8_t> mask, bool chosen) {
    ESPARSE_RETURN_IF_ERROR(download_rows(device_, weight_, weight));
    if (chosen) ESPARSE_RETURN_IF_ERROR(download_rows(device_, mask_, mask));
    std::vector<double> losses(static_cast<size_t>(rows_));
    ESPARSE_RETURN_IF_ERROR(device_.download(std::as_writable_bytes(std::span(losses)), losses_.data()));
    double loss = 0;
    for (const double of_row : losses) loss += of_row;
    return loss;
  }

 private:
  Device& device_;
  int64_t rows_, columns_;
  DeviceBytes weight_, u_transposed_, mask_, errors_, losses_;
};

}  // namespace

Result<double> gpu_obs_sweep(Device& device, MatrixView<float> weight, MatrixView<const float> u,
                             std::optional<NmPattern> pattern, MatrixView<uint8_t> mask, int64_t columns) {
  ESPARSE_CHECK(u.rows == weight.cols && u.cols == weight.cols && columns <= weight.cols);
  ESPARSE_CHECK(mask.rows == weight.rows && mask.cols == weight.cols && (!pattern || pattern->valid()));
  if (weight.rows == 0 || columns == 0) return 0.0;
  if (pattern)
    for (int64_t row = 0; row < mask.rows; ++row)
      std::fill(mask.row(row).begin() + columns, mask.row(row).end(), uint8_t{1});
  const int64_t unit = pattern ? pattern->group : 1;
  const int64_t block = kObsColumns / unit * unit;
  GpuSweep sweep(device, weight.rows, weight.cols);
  ESPARSE_RETURN_IF_ERROR(sweep.load(weight, u, mask));
  for (int64_t first = 0; first < columns; first += block)
    ESPARSE_RETURN_IF_ERROR(sweep.sweep(first, std::min(block, columns - first), pattern));
  return sweep.finish(weight, mask, pattern.has_value());
}

}  // namespace esparse
