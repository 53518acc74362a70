// Loops that do nothing but read, or nothing but multiply and add: the limits of a machine.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace esparse {

struct MachineKernels {
  // The sum of data[0 .. count), read as kStreams streams side by side; count is a multiple of kStreamStep.
  float (*sum)(const float* data, int64_t count);
  // Multiply-adds in registers alone; the result only keeps the compiler from leaving them out.
  float (*multiply_add)(int64_t rounds);
  int64_t flops_per_round;

  static constexpr int64_t kStreams = 4;  // a core follows several streams faster than one
  static constexpr int64_t kStreamStep = kStreams * 64;
};

extern const MachineKernels kPortableMachineKernels;

template <>
std::span<const TableEntry<MachineKernels>> all_tables();

}  // namespace esparse
