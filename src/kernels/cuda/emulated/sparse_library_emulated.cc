#include "kernels/cuda/emulated/sparse_library_emulated.h"

#include <cstring>

#include "kernels/cuda/emulated/gemm_emulated.h"

namespace esparse::cuda {
namespace {

struct Weight final : LibraryWeight {
  // As the real one: half of the values and two bits for each.
  int64_t bytes() const override { return out * in * 9 / 8; }

  int64_t out = 0, in = 0;
  Element type = Element::bf16;
  std::vector<uint16_t> values;
};

bool is_2_4(const std::vector<uint16_t>& values) {
  for (size_t first = 0; first < values.size(); first += 4) {
    int kept = 0;
    for (size_t i = first; i < first + 4; ++i) kept += (values[i] & 0x7fff) != 0;
    if (kept > 2) return false;
  }
  return true;
}

class EmulatedSparseLibrary final : public SparseLibrary {
 public:
  Result<std::string> version() const override { return std::string("plain loops"); }
  Result<std::unique_ptr<LibraryWeight>> compress(const void* w, int64_t out, int64_t in, Element type,
                                                  Stream) const override {
    ESPARSE_RETURN_IF_ERROR(check_library_weight(out, in, type));
    auto weight = std::make_unique<Weight>();
    weight->out = out, weight->in = in, weight->type = type;
    weight->values.resize(static_cast<size_t>(out * in));
    std::memcpy(weight->values.data(), w, weight->values.size() * sizeof(uint16_t));
    if (!is_2_4(weight->values))
      return invalid_argument("plain loops: expected a 2:4 weight, got more values in a group [{} x {}]", out, in);
    return std::unique_ptr<LibraryWeight>(std::move(weight));
  }
  Status multiply(const LibraryWeight& of, const LibraryProduct& product, Stream stream) const override {
    ESPARSE_RETURN_IF_ERROR(check_library_product(product));
    const auto& weight = static_cast<const Weight&>(of);
    GemmArgs args;
    args.x = product.x, args.w = weight.values.data(), args.y = product.y;
    args.tokens = product.tokens, args.in = weight.in, args.out = weight.out;
    args.x_stride = product.x_stride, args.w_stride = weight.in, args.y_stride = product.y_stride;
    args.type = args.y_type = weight.type;
    args.add = product.add;
    return emulated_gemm().gemm(args, stream);
  }
  void set_search(const GemmSearch&) const override {}
  std::vector<Status> take_warnings() const override { return {}; }
};

}  // namespace

const SparseLibrary& emulated_sparse_library() {
  static const EmulatedSparseLibrary library;
  return library;
}

}  // namespace esparse::cuda
