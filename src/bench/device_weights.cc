#include "bench/device_weights.h"

#include <algorithm>

namespace esparse {
namespace {

cuda::GemmArgs gemm_args(const DeviceBytes& w, const DeviceOperands& operands) {
  cuda::GemmArgs args;
  args.x = operands.x.data(), args.w = w.data(), args.y = operands.y.data();
  args.tokens = operands.tokens, args.in = operands.in, args.out = operands.out;
  args.x_stride = args.w_stride = operands.in, args.y_stride = operands.out;
  args.type = args.y_type = operands.type;
  return args;
}

}  // namespace

Result<DeviceColdWeights> DeviceColdWeights::create(Device& device, const Matrix<float>& values, DType dtype,
                                                    const BenchPattern& pattern, int64_t cold_bytes) {
  DeviceColdWeights weights(device);
  weights.cold_bytes_ = cold_bytes, weights.pattern_ = pattern;
  weights.type_ = device_element(dtype);
  weights.out_ = values.rows(), weights.in_ = values.cols();
  ESPARSE_ASSIGN_OR_RETURN(weights.stored_, StoredWeight::create(values, dtype, pattern));
  return weights;
}

int64_t DeviceColdWeights::copies_of(int64_t bytes) const {
  constexpr int64_t kMostCopies = 64;  // smaller weights are not worth a benchmark
  return std::clamp<int64_t>(cold_bytes_ / std::max<int64_t>(bytes, 1) + 1, 1, kMostCopies);
}

Status DeviceColdWeights::make_rows() {
  if (!rows_.empty()) return {};
  ESPARSE_ASSIGN_OR_RETURN(DeviceBytes first, device_->upload(stored_.rows(), "benchmark weights"));
  rows_.push_back(std::move(first));
  const int64_t bytes = rows_.front().bytes();
  while (static_cast<int64_t>(rows_.size()) < copies_of(bytes)) {
    ESPARSE_ASSIGN_OR_RETURN(DeviceBytes copy, device_->allocate(bytes, "benchmark weights"));
    ESPARSE_RETURN_IF_ERROR(
        device_->backend().runtime->copy_on_device(copy.data(), rows_.front().data(), bytes, device_->stream()));
    rows_.push_back(std::move(copy));
  }
  return {};
}

Result<std::vector<DeviceContender>> DeviceColdWeights::dense_library(DeviceOperands& operands) {
  const cuda::GemmLibrary& library = *device_->backend().gemm;
  ESPARSE_ASSIGN_OR_RETURN(const std::string name, library.version());
  ESPARSE_RETURN_IF_ERROR(make_rows());
  std::vector<DeviceContender> contenders;
  for (const bool rounded : {false, true})
    contenders.push_back({name + (rounded ? ", parts rounded" : ""), rows_.front().bytes(), rounded,
                          static_cast<int64_t>(rows_.size()), [this, &operands, &library, rounded](int64_t copy) {
                            cuda::GemmArgs args = gemm_args(rows_[static_cast<size_t>(copy)], operands);
                            args.rounded_parts = rounded;
                            return library.gemm(args, device_->stream());
                          }});
  return contenders;
}

Result<std::vector<DeviceContender>> DeviceColdWeights::sparse_library(DeviceOperands& operands) {
  const cuda::SparseLibrary& library = *device_->backend().sparse_library;
  const auto name = library.version();
  const bool is_2_4 = pattern_.nm && *pattern_.nm == NmPattern{2, 4} && !pattern_.dense_fraction;
  if (!name.ok() || !is_2_4 || !cuda::check_library_weight(out_, in_, type_).ok())
    return std::vector<DeviceContender>();
  if (library_.empty()) {
    ESPARSE_ASSIGN_OR_RETURN(const DeviceBytes rows, device_->upload(stored_.rows(), "benchmark weights"));
    int64_t copies = 1;
    for (int64_t copy = 0; copy < copies; ++copy) {
      ESPARSE_ASSIGN_OR_RETURN(auto weight, library.compress(rows.data(), out_, in_, type_, device_->stream()));
      copies = copies_of(weight->bytes());
      library_.push_back(std::move(weight));
    }
  }
  const cuda::LibraryProduct product{operands.x.data(), operands.y.data(), operands.padded_tokens,
                                     operands.in,       operands.out,      false};
  return std::vector<DeviceContender>{{*name, library_.front()->bytes(), true, static_cast<int64_t>(library_.size()),
                                       [this, &library, product](int64_t copy) {
                                         return library.multiply(*library_[static_cast<size_t>(copy)], product,
                                                                 device_->stream());
                                       }}};
}

Result<std::vector<DeviceContender>> DeviceColdWeights::ours(DeviceOperands& operands) {
  int64_t copies = 1;
  for (auto copy = static_cast<int64_t>(ours_.size()); copy < copies; ++copy) {
    ESPARSE_ASSIGN_OR_RETURN(DeviceWeight weight, upload_weight(*device_, stored_.view(), type_));
    copies = copies_of(weight.bytes());
    ours_.push_back(std::move(weight));
  }
  const int64_t needed = linear_scratch_bytes(ours_.front(), operands.tokens);
  if (needed > scratch_.memory.bytes()) {
    ESPARSE_ASSIGN_OR_RETURN(scratch_, make_linear_scratch(*device_, needed));
  }
  const LinearOutput y{operands.y.data(), operands.type, false, operands.out};
  const DeviceForm form = ours_.front().form();
  std::vector<DeviceContender> contenders;
  for (const DevicePath path : possible_paths(form, device_->info(), operands.tokens))
    contenders.push_back({fmt::format("{} {}", path_name(path), form_name(form)), ours_.front().bytes(),
                          pattern_.dense_fraction.has_value(), static_cast<int64_t>(ours_.size()),
                          [this, &operands, y, path](int64_t copy) {
                            DeviceWeight& weight = ours_[static_cast<size_t>(copy)];
                            weight.plan.paths.fill(path);
                            return device_linear(*device_, weight, operands.x.data(), operands.tokens, nullptr, y,
                                                 scratch_);
                          }});
  return contenders;
}

}  // namespace esparse
