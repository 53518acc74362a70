// oneDNN, kept to the instruction set in use (kernels/isa.h), so that ESPARSE_ISA=avx2 compares AVX2 with AVX2.
#pragma once

#include <dnnl.hpp>

namespace esparse {

// To be called before anything else of oneDNN: its own choice is final once it has compiled a kernel.
void limit_onednn();

const dnnl::engine& onednn_engine();

}  // namespace esparse
