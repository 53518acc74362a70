// The linears of `esparse bench` under Google Benchmark: every kernel by itself, for profilers and comparison scripts.
//
//   linear_bench --benchmark_filter='llama3-8b down/2:4/512'
//
// Names are SHAPE/PATTERN/TOKENS/KERNEL; weights bf16, random and cold, each kernel checked before it is timed. For
// ratios use `esparse bench`: there the contenders take turns.
#include <memory>

#include <benchmark/benchmark.h>

#include "base/parallel.h"
#include "bench/contender.h"

namespace {

using namespace esparse;

constexpr DType kDType = DType::bf16;

struct Case {
  LinearShape shape;
  BenchPattern pattern;
  int64_t tokens = 1;
  bool onednn = false;
};

void run_contender(benchmark::State& state, const Case& item, const Contender& contender, Product& product) {
  if (const Status status = check_contender(contender, kDType, item.pattern, product); !status.ok()) {
    state.SkipWithError(status.message().c_str());
    return;
  }
  for (auto _ : state) contender.run();
  const auto runs = static_cast<double>(state.iterations());
  const auto flops = 2.0 * static_cast<double>(item.tokens * item.shape.out_features * item.shape.in_features);
  state.counters["bytes/s"] =
      benchmark::Counter(runs * static_cast<double>(contender.weight_bytes), benchmark::Counter::kIsRate);
  state.counters["flop/s"] = benchmark::Counter(runs * flops, benchmark::Counter::kIsRate);
  state.SetLabel(contender.kernel);
}

// The fastest of a side is not known here, so that the paths stand one by one: `index` counts them.
void run_case(benchmark::State& state, const Case& item, size_t index) {
  const Matrix<float> values = random_weight(item.shape, kDType);
  Product product(values, item.tokens);
  auto weights = ColdWeights::create(values, kDType, item.pattern);
  if (!weights.ok()) return state.SkipWithError(weights.status().message().c_str());
  const auto contenders = item.onednn ? onednn_contenders(kDType, product) : linear_contenders(*weights, product);
  if (index >= contenders.size()) return state.SkipWithError("this machine has no such kernel");
  run_contender(state, item, contenders[index], product);
}

void add_case(const Case& item, const std::string& kernel, size_t index) {
  const std::string name = item.shape.name + "/" + item.pattern.text + "/" + std::to_string(item.tokens) + "/" + kernel;
  benchmark::RegisterBenchmark(name.c_str(), [item, index](benchmark::State& state) { run_case(state, item, index); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  set_thread_count(0);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto shapes = parse_linear_shapes("llama3-8b,qwen2.5-7b,llama2-7b");
  const auto patterns = BenchPattern::parse_list("dense,2:4,4:8,6:8");
  ESPARSE_CHECK(shapes.ok() && patterns.ok());
  for (const LinearShape& shape : *shapes)
    for (const int64_t tokens : {1, 4, 8, 16, 128, 512}) {
      for (const BenchPattern& pattern : *patterns)
        for (size_t index = 0; index < 3; ++index)
          add_case({shape, pattern, tokens, false}, "path" + std::to_string(index), index);
      add_case({shape, patterns->front(), tokens, true}, "onednn-f32", 0);
      add_case({shape, patterns->front(), tokens, true}, "onednn-bf16", 1);
    }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
