// How long work on a GPU takes that finds its operands out of the cache.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kernels/cuda/backend.h"

namespace esparse::cuda {

// Medians in seconds, by events. Each of `rounds` runs every candidate once, after a buffer of `flush_bytes`
// (twice the L2 cache suffices) has been written; so candidates take turns, and the writing hides what a launch costs
// the CPU. A candidate that fails has infinite seconds. The first round is not counted.
Result<std::vector<double>> time_cold(const Runtime& runtime, Stream stream, int64_t flush_bytes,
                                      std::span<const std::function<Status()>> candidates, int rounds);

}  // namespace esparse::cuda
