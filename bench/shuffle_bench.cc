// The channel shuffle on one layer: seconds and retained mass of every method, and how near its inner loop comes to
// what the processor can do.
//
//   shuffle_bench [out in [rows]]     default: 4096 4096, all rows
//
// Bound: two f32 additions per cycle on eight lanes, so 16 max-additions per cycle and core (Zen 3, and Intel since
// Skylake); the clock is measured on a chain of dependent multiplications of integers, three cycles each. Seconds of
// the processor, all threads together, are what a busy machine disturbs least. The saliency is |Gaussian| times
// log-normal channel scales (sigma 0.8) that change slowly from channel to channel.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/parallel.h"
#include "kernels/shuffle_kernels.h"
#include "prune/shuffle.h"
#include "prune/shuffle_block.h"
#include "prune/shuffle_panel.h"
#include "prune/shuffle_support.h"
#include "report/table.h"

namespace {

using namespace esparse;

constexpr double kBoundPerCycle = 16.0;

struct Times {
  double wall_seconds;
  double cpu_seconds;
};

Times time_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  body();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC};
}

double clock_hertz() {
  constexpr int64_t kSteps = 20'000'000;
  volatile uint64_t sink = 3;
  const double seconds = time_of([&] {
                           uint64_t x = sink;
                           const uint64_t factor = sink;
                           for (int64_t i = 0; i < kSteps; ++i) x *= factor;
                           sink = x;
                         }).cpu_seconds;
  return 3.0 * kSteps / seconds;
}

void print_rate(const char* what, double max_additions, double cpu_seconds) {
  const double rate = max_additions / cpu_seconds, bound = kBoundPerCycle * clock_hertz();
  std::printf("%-34s %6.1f G max-additions/s per core, %3.0f %% of the bound of %.1f G\n", what, rate * 1e-9,
              100.0 * rate / bound, bound * 1e-9);
}

// The inner loop on a panel as the searches call it, one thread.
void bench_kernel(const ShuffleKernels& kernels) {
  constexpr int64_t kChannels = 256, kRepetitions = 100;
  const Matrix<float> scores = correlated_saliency(kChannels, kPanelRows, 0.8f, 1);
  const Matrix<float> limits = correlated_saliency(kThresholdsAtOnce, kPanelRows, 0.8f, 2);
  Matrix<double> sums(kThresholdsAtOnce, kChannels);
  std::vector<const float*> thresholds;
  std::vector<double*> targets;
  for (int64_t i = 0; i < kThresholdsAtOnce; ++i) {
    thresholds.push_back(limits.row(i).data());
    targets.push_back(sums.row(i).data());
  }
  double best = 1e9;
  for (int round = 0; round < 9; ++round)
    best = std::min(best, time_of([&] {
                            for (int64_t i = 0; i < kRepetitions; ++i)
                              kernels.add_sums_of_max(thresholds.data(), kThresholdsAtOnce, scores.data(), kChannels,
                                                      kPanelRows, targets.data());
                          }).cpu_seconds);
  print_rate(fmt::format("kernel, {}", kernels.isa).c_str(),
             static_cast<double>(kRepetitions * kThresholdsAtOnce * kChannels * kPanelRows), best);
}

// All of the local search from the dealt order: setting up, thresholds, choosing and all.
void bench_search(const Matrix<float>& saliency, NmPattern pattern) {
  const ChannelOrder dealt = global_naive_shuffle(saliency.view(), pattern, DealStyle::snake);
  constexpr int64_t kBlock = 256;
  const int64_t blocks = saliency.cols() / kBlock;
  std::vector<int64_t> work(blocks);
  const Times times = time_of([&] {
    parallel_for(blocks, [&](int64_t block, int) {
      const std::span channels(dealt.data() + block * kBlock, kBlock);
      BlockSwapSearch search(saliency.view(), pattern, channels, 1e-4);
      while (search.run_round()) {
      }
      work[block] = search.max_additions();
    });
  });
  double sum = 0.0;
  for (int64_t of_block : work) sum += static_cast<double>(of_block);
  print_rate(fmt::format("local search {}, {:.1f} G in all", pattern.text(), sum * 1e-9).c_str(), sum,
             times.cpu_seconds);
}

// The same number for the same order.
uint64_t fingerprint(const ChannelOrder& order) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (int32_t channel : order) hash = (hash ^ static_cast<uint64_t>(channel)) * 1099511628211u;
  return hash;
}

void bench_methods(const Matrix<float>& saliency, NmPattern pattern, int64_t rows, Table& table) {
  for (const char* method : {"global", "local", "global+local", "lsa"}) {
    ShuffleOptions options = *ShuffleOptions::parse(method);
    options.rows = rows;
    ShuffleResult result;
    const Times times = time_of([&] { result = find_channel_order(saliency.view(), pattern, options); });
    table.add_row({pattern.text(), method, fmt::format("{:.2f}", times.wall_seconds),
                   fmt::format("{:.2f}", times.cpu_seconds), fmt::format("{:.3f} %", 100 * result.retained_identity),
                   fmt::format("{:.3f} %", 100 * result.retained),
                   fmt::format("{:.3f} %", 100 * result.retained_on_searched_rows),
                   fmt::format("{:08x}", fingerprint(result.order) >> 32)});
  }
  table.add_rule();
}

}  // namespace

int main(int argc, char** argv) {
  set_thread_count(0);
  const int64_t out = argc > 2 ? std::atoll(argv[1]) : 4096, in = argc > 2 ? std::atoll(argv[2]) : 4096;
  const int64_t rows = argc > 3 ? std::atoll(argv[3]) : 0;
  if (out < 1 || in < 256 || in % 256 != 0 || rows < 0) {
    std::fputs("expected: shuffle_bench [out in [rows]], in a multiple of 256\n", stderr);
    return 1;
  }
  std::printf("%d threads, shuffle kernels: %s\n", thread_count(), shuffle_kernels().isa);
  for (const ShuffleKernels* table : usable_tables<ShuffleKernels>()) bench_kernel(*table);
  const Matrix<float> saliency = correlated_saliency(out, in, 0.8f, 1);
  Table table({"pattern", "shuffle", "seconds", "CPU seconds", "kept before", "kept after", "on rows seen", "order"});
  for (const NmPattern pattern : {NmPattern{2, 4}, {4, 8}}) {
    bench_search(saliency, pattern);
    bench_methods(saliency, pattern, rows, table);
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}
