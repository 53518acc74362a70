#include "kernels/onednn.h"

#include "kernels/isa.h"

namespace esparse {
namespace {

// No limit where we have kernels for the best that we know of, and none for `portable`, which needs a dense product
// too.
dnnl::cpu_isa limit_of(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return dnnl::cpu_isa::avx2;
    case Isa::avx512:
      return dnnl::cpu_isa::avx512_core;
    case Isa::portable:
    case Isa::neon:
    case Isa::avx512_bf16:
      break;
  }
  return dnnl::cpu_isa::all;
}

}  // namespace

void limit_onednn() {
  // Fails where oneDNN was built without the switch; then it takes what it likes, as before.
  [[maybe_unused]] static const bool done = dnnl::set_max_cpu_isa(limit_of(current_isa())) == dnnl::status::success;
}

const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine = [] {
    limit_onednn();
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

}  // namespace esparse
