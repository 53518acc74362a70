#include "kernels/cuda/emulated/gemm_emulated.h"

#include "base/dtype.h"

namespace esparse::cuda {
namespace {

float load(const void* data, Element type, int64_t index) {
  if (type == Element::f32) return static_cast<const float*>(data)[index];
  if (type == Element::f16) return to_f32(static_cast<const f16*>(data)[index]);
  return to_f32(static_cast<const bf16*>(data)[index]);
}

void store(void* data, Element type, int64_t index, float value) {
  if (type == Element::f32)
    static_cast<float*>(data)[index] = value;
  else if (type == Element::f16)
    static_cast<f16*>(data)[index] = to_f16(value);
  else
    static_cast<bf16*>(data)[index] = to_bf16(value);
}

class EmulatedGemm final : public GemmLibrary {
 public:
  Status gemm(const GemmArgs& args, Stream) const override {
    if (args.y_type != args.type && args.y_type != Element::f32)
      return internal_error("gemm: y is neither f32 nor of the type of x");
    for (int64_t t = 0; t < args.tokens; ++t)
      for (int64_t o = 0; o < args.out; ++o) {
        float sum = 0;
        for (int64_t k = 0; k < args.in; ++k)
          sum += load(args.x, args.type, t * args.x_stride + k) * load(args.w, args.type, o * args.w_stride + k);
        const int64_t place = t * args.y_stride + o;
        store(args.y, args.y_type, place, args.add ? load(args.y, args.y_type, place) + sum : sum);
      }
    return {};
  }
  void set_search(const GemmSearch&) const override {}
  Result<std::string> version() const override { return std::string("plain loops"); }
  std::vector<Status> take_warnings() const override { return {}; }
};

}  // namespace

const GemmLibrary& emulated_gemm() {
  static const EmulatedGemm library;
  return library;
}

}  // namespace esparse::cuda
