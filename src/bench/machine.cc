#include "bench/machine.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/byte_size.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/timing.h"
#include "bench/machine_kernels.h"

namespace esparse {
namespace {

constexpr int kFewestRuns = 3, kMostRuns = 200;

double best_seconds(const std::function<void()>& body, double budget_seconds) {
  body();
  const auto times = time_in_turns(std::span(&body, 1), {kFewestRuns, kMostRuns, budget_seconds});
  return *std::min_element(times[0].begin(), times[0].end());
}

double measure_read_bandwidth(double seconds) {
  constexpr int64_t kPieceFloats = 1 << 20;  // small enough that the threads end together
  static_assert(kPieceFloats % MachineKernels::kStreamStep == 0);
  const int64_t pieces = cold_bytes() / (kPieceFloats * static_cast<int64_t>(sizeof(float)));
  const std::vector<float> data(static_cast<size_t>(pieces * kPieceFloats), 1.0f);
  std::vector<float> sums(static_cast<size_t>(pieces));
  const double best = best_seconds(
      [&] {
        parallel_for(pieces, [&](int64_t piece, int) {
          sums[piece] = kernels<MachineKernels>().sum(data.data() + piece * kPieceFloats, kPieceFloats);
        });
      },
      seconds);
  return static_cast<double>(data.size() * sizeof(float)) / best;
}

double measure_flops(double seconds) {
  constexpr int64_t kRounds = 1 << 16;
  const int64_t pieces = int64_t{16} * thread_count();
  std::vector<float> results(static_cast<size_t>(pieces));
  const double best = best_seconds(
      [&] {
        parallel_for(pieces,
                     [&](int64_t piece, int) { results[piece] = kernels<MachineKernels>().multiply_add(kRounds); });
      },
      seconds);
  return static_cast<double>(pieces * kRounds * kernels<MachineKernels>().flops_per_round) / best;
}

}  // namespace

std::string Machine::line() const {
  return fmt::format("{}, {}, {} thread{}, last-level cache {}, read bandwidth {:.1f} GB/s, peak {:.0f} GFLOP/s f32",
                     cpu, isa, threads, threads == 1 ? "" : "s", format_bytes(last_level_cache_bytes),
                     read_bytes_per_second * 1e-9, flops_per_second * 1e-9);
}

Machine measure_machine(double seconds) {
  Machine machine;
  machine.cpu = cpu_model_name();
  machine.isa = isa_name(current_isa());
  machine.threads = thread_count();
  machine.last_level_cache_bytes = last_level_cache_bytes();
  machine.read_bytes_per_second = measure_read_bandwidth(seconds / 2);
  machine.flops_per_second = measure_flops(seconds / 2);
  return machine;
}

}  // namespace esparse
