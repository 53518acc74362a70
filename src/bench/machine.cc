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
constexpr int64_t kPieceFloats = 1 << 20;  // small enough that the threads end together
constexpr int64_t kPieceBytes = kPieceFloats * static_cast<int64_t>(sizeof(float));

double best_seconds(const std::function<void()>& body, double budget_seconds) {
  body();
  const auto times = time_in_turns(std::span(&body, 1), {kFewestRuns, kMostRuns, budget_seconds});
  return *std::min_element(times[0].begin(), times[0].end());
}

double measure_read_bandwidth(double seconds) {
  MemoryReader reader;
  return static_cast<double>(reader.bytes()) / best_seconds([&] { reader.run(); }, seconds);
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

MemoryReader::MemoryReader() : data_(cold_bytes() / kPieceBytes * kPieceBytes), sums_(data_.size() / kPieceBytes) {
  static_assert(kPieceFloats % MachineKernels::kStreamStep == 0);
  auto* floats = reinterpret_cast<float*>(data_.data());
  parallel_for(static_cast<int64_t>(sums_.size()),
               [&](int64_t piece, int) { std::fill_n(floats + piece * kPieceFloats, kPieceFloats, 1.0f); });
}

void MemoryReader::run() {
  const auto* floats = reinterpret_cast<const float*>(data_.data());
  parallel_for(static_cast<int64_t>(sums_.size()), [&](int64_t piece, int) {
    sums_[piece] = kernels<MachineKernels>().sum(floats + piece * kPieceFloats, kPieceFloats);
  });
}

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
