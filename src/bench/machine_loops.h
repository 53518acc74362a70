// The loops of machine_kernels.h, over a vector type of kernels/simd/.
#pragma once

#include "bench/machine_kernels.h"

namespace esparse {

template <typename V>
struct MachineLoops {
  // Two multiply-adds a cycle with a latency of four to five cycles need ten chains; twelve, one factor and one addend
  // fit in sixteen registers.
  static constexpr int kChains = 12;

  static float sum(const float* data, int64_t count) {
    const int64_t length = count / MachineKernels::kStreams;
    typename V::F sums[MachineKernels::kStreams][2];
    for (auto& pair : sums) pair[0] = pair[1] = V::zero();
    for (int64_t i = 0; i < length; i += 2 * V::kLanes)
      for (int64_t s = 0; s < MachineKernels::kStreams; ++s) {
        sums[s][0] = V::add(sums[s][0], V::load(data + s * length + i));
        sums[s][1] = V::add(sums[s][1], V::load(data + s * length + i + V::kLanes));
      }
    float total = 0;
    for (auto& pair : sums) total += V::sum(V::add(pair[0], pair[1]));
    return total;
  }

  static float multiply_add(int64_t rounds) {
    typename V::F chains[kChains];
    for (int i = 0; i < kChains; ++i) chains[i] = V::broadcast(static_cast<float>(i));
    const auto factor = V::broadcast(0.5f), addend = V::broadcast(1.0f);  // converges to 2: never slow numbers
    for (int64_t round = 0; round < rounds; ++round)
      for (int i = 0; i < kChains; ++i) chains[i] = V::fma(chains[i], factor, addend);
    float total = 0;
    for (const auto& chain : chains) total += V::sum(chain);
    return total;
  }

  static constexpr MachineKernels kernels() { return {&sum, &multiply_add, int64_t{2} * kChains * V::kLanes}; }
};

}  // namespace esparse
