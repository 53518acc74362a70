#include "bench/onednn_matmul.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/large_bytes.h"
#include "base/timing.h"
#include "kernels/onednn.h"

namespace esparse {
namespace {

using dnnl::memory;

memory::data_type onednn_type(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return memory::data_type::bf16;
    case DType::f16:
      return memory::data_type::f16;
    default:
      return memory::data_type::f32;
  }
}

class Matmul final : public OneDnnMatmul {
 public:
  // Throws dnnl::error where oneDNN has no implementation.
  Matmul(DType dtype, const Matrix<float>& weight, MatrixView<const float> x, MatrixView<float> y)
      : descriptor_(describe(dtype, weight, x.rows)), matmul_(descriptor_) {
    implementation_ = descriptor_.impl_info_str();
    name_ = fmt::format("onednn {} {}",
                        dtype == DType::f32    ? "f32"
                        : dtype == DType::bf16 ? "bf16"
                                               : "f16",
                        implementation_);
    memory plain_x({{x.rows, x.cols}, memory::data_type::f32, memory::format_tag::ab}, engine_,
                   const_cast<float*>(x.data));
    x_ = converted(plain_x, descriptor_.src_desc());
    y_ = memory(descriptor_.dst_desc(), engine_, y.data);
    memory plain({{weight.cols(), weight.rows()}, memory::data_type::f32, memory::format_tag::ba}, engine_,
                 const_cast<float*>(weight.data()));
    const int64_t copies = std::max<int64_t>(1, cold_bytes() / std::max<int64_t>(weight_bytes(), 1) + 1);
    for (int64_t copy = 0; copy < std::min<int64_t>(copies, 64); ++copy) {  // in large pages, as ours are
      auto& storage = storage_.emplace_back(weight_bytes());
      weights_.emplace_back(descriptor_.weights_desc(), engine_, storage.data());
      reorder(plain, weights_.back());
    }
  }

  bool is_reference() const { return implementation_.find("ref") != std::string::npos; }
  void run() override {
    turn_ = (turn_ + 1) % weights_.size();
    matmul_.execute(stream_, {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, weights_[turn_]}, {DNNL_ARG_DST, y_}});
    stream_.wait();
  }
  std::string kernel() const override { return name_; }
  int64_t weight_bytes() const override { return static_cast<int64_t>(descriptor_.weights_desc().get_size()); }

 private:
  dnnl::matmul::primitive_desc describe(DType dtype, const Matrix<float>& weight, int64_t tokens) {
    const memory::data_type type = onednn_type(dtype);
    const memory::desc x({tokens, weight.cols()}, type, memory::format_tag::ab);
    const memory::desc w({weight.cols(), weight.rows()}, type, memory::format_tag::any);
    const memory::desc y({tokens, weight.rows()}, memory::data_type::f32, memory::format_tag::ab);
    return {dnnl::matmul::desc(x, w, y), engine_};
  }
  memory converted(memory& source, const memory::desc& target) {
    memory result(target, engine_);
    reorder(source, result);
    return result;
  }
  void reorder(memory& source, memory& target) {
    dnnl::reorder(source, target).execute(stream_, source, target);
    stream_.wait();
  }

  dnnl::engine engine_ = onednn_engine();
  dnnl::stream stream_{engine_};
  dnnl::matmul::primitive_desc descriptor_;
  dnnl::matmul matmul_;
  std::string implementation_, name_;
  memory x_, y_;
  std::vector<LargeBytes> storage_;
  std::vector<memory> weights_;
  size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<OneDnnMatmul> OneDnnMatmul::create(DType dtype, const Matrix<float>& weight, MatrixView<const float> x,
                                                   MatrixView<float> y) {
  ESPARSE_CHECK(x.stride == x.cols && y.stride == y.cols && x.cols == weight.cols() && y.cols == weight.rows());
  try {
    auto matmul = std::make_unique<Matmul>(dtype, weight, x, y);
    if (matmul->is_reference()) return nullptr;
    return matmul;
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

}  // namespace esparse
