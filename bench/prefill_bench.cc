// Sparse prefill against bare oneDNN, on the linears of Llama-3-8B: every product on the same threads, taking turns in
// one run, weights rotating through copies. Prints medians of the ratios.
//
//   prefill_bench [--threads N] [--runs N] [--shape I] [tokens...]     default: all cores, 5 runs, all shapes, 128 512
//   2048
//
// Baseline: oneDNN's f32 matmul primitive with the weight already in the layout it prefers (its reorder is not timed).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include <dnnl.hpp>

#include "base/parallel.h"
#include "kernels/dense_gemm.h"
#include "kernels/few.h"
#include "kernels/sparse_gemm.h"
#include "report/table.h"
#include "shapes.h"

namespace {

using namespace esparse;

constexpr int64_t kColdBytes = 64 << 20;  // beyond the caches of common machines

struct Options {
  int threads = 0, runs = 5, shape = -1;
  std::vector<int64_t> tokens;
};

// With --threads 1 the processor time of this thread, which other processes disturb less; otherwise wall time.
double now(bool one_thread) {
  timespec time{};
  clock_gettime(one_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double seconds(const std::function<void()>& body) {
  const double start = now(thread_count() == 1);
  body();
  return now(thread_count() == 1) - start;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct Random {
  uint32_t state = 12345;
  uint32_t bits() { return (state = state * 1664525u + 1013904223u) >> 8; }
  float value() { return static_cast<float>(bits()) * 0x1p-23f - 1.0f; }
};

std::vector<float> random_floats(int64_t count) {
  Random random;
  std::vector<float> values(count);
  for (float& value : values) value = random.value();
  return values;
}

// oneDNN's matmul with weights in its own layout, one copy.
class OneDnn {
 public:
  OneDnn(int64_t tokens, const LinearShape& shape, const std::vector<float>& weight, const float* x, float* y) {
    using dnnl::memory;
    const memory::desc source({tokens, shape.in_features}, memory::data_type::f32, memory::format_tag::ab);
    const memory::desc any({shape.in_features, shape.out_features}, memory::data_type::f32, memory::format_tag::any);
    const memory::desc target({tokens, shape.out_features}, memory::data_type::f32, memory::format_tag::ab);
    const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(source, any, target), engine_);
    matmul_ = dnnl::matmul(descriptor);
    memory plain({{shape.in_features, shape.out_features}, memory::data_type::f32, memory::format_tag::ba}, engine_,
                 const_cast<float*>(weight.data()));
    weight_ = memory(descriptor.weights_desc(), engine_);
    dnnl::reorder(plain, weight_).execute(stream_, plain, weight_);
    x_ = memory(source, engine_, const_cast<float*>(x));
    y_ = memory(target, engine_, y);
    stream_.wait();
  }
  void run() {
    matmul_.execute(stream_, {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, weight_}, {DNNL_ARG_DST, y_}});
    stream_.wait();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul matmul_;
  dnnl::memory x_, y_, weight_;
};

// A sparse weight in copies that take turns.
struct Sparse {
  std::string name;
  DType dtype;
  std::vector<NmMatrix> packed;
  std::vector<NmTiles> tiles;
  std::vector<std::byte> values;  // unstructured: one copy
  std::vector<uint8_t> mask;
  std::vector<int64_t> offsets;
  size_t turn = 0;

  void run(const LinearShape& shape, MatrixView<const float> x, MatrixView<float> y) {
    ++turn;
    if (!tiles.empty()) return sparse_gemm(tiles[turn % tiles.size()].view(), x, {}, y);
    if (!packed.empty()) return sparse_gemm(bit_rows(packed[turn % packed.size()].view()), x, {}, y);
    sparse_gemm(
        BitRowsView{dtype, shape.out_features, shape.in_features, values.data(), mask.data(), 0, offsets.data()}, x, {},
        y);
  }
};

Sparse make_nm(const char* name, NmPattern pattern, DType dtype, bool tiled, std::vector<float> weight,
               const LinearShape& shape) {
  Random random;
  for (size_t group = 0; group < weight.size(); group += pattern.group) {
    int dropped = 0;
    while (dropped < pattern.group - pattern.kept) {
      float& value = weight[group + random.bits() / 16 % pattern.group];
      dropped += value != 0.0f;
      value = 0.0f;
    }
  }
  std::vector<std::byte> bytes(weight.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, weight, bytes.data());
  auto packed = pack_nm(pattern, dtype, bytes, shape.out_features, shape.in_features);
  ESPARSE_CHECK(packed.ok());
  Sparse sparse{name, dtype, {}, {}, {}, {}, {}};
  const int64_t size = packed->view().values_bytes() + packed->view().bitmask_bytes();
  for (int64_t copy = 0; copy < std::clamp<int64_t>(kColdBytes / size + 1, 1, 8); ++copy) {
    if (tiled) {
      sparse.tiles.push_back(make_nm_tiles(packed->view()));
    } else {
      sparse.packed.push_back(*packed);
    }
  }
  return sparse;
}

// Each weight kept with one chance in two.
Sparse make_unstructured(const char* name, DType dtype, const std::vector<float>& weight, const LinearShape& shape) {
  Random random;
  Sparse sparse{name, dtype, {}, {}, {}, std::vector<uint8_t>(weight.size() / 8), {0}};
  std::vector<float> kept;
  for (int64_t i = 0; i < static_cast<int64_t>(weight.size()); ++i) {
    if (random.bits() & 4096) {
      sparse.mask[i / 8] |= static_cast<uint8_t>(1 << i % 8);
      kept.push_back(weight[i]);
    }
    if ((i + 1) % shape.in_features == 0) sparse.offsets.push_back(static_cast<int64_t>(kept.size()));
  }
  sparse.values.resize(kept.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, kept, sparse.values.data());
  return sparse;
}

struct Contender {
  std::string name;
  std::function<void()> run;
  std::vector<double> times = {};
};

void bench_shape(const LinearShape& shape, const Options& options, Table& table) {
  const auto weight = random_floats(shape.out_features * shape.in_features);
  std::vector<Sparse> sparse;
  sparse.push_back(make_nm("2:4 bf16 tiles", {2, 4}, DType::bf16, true, weight, shape));
  sparse.push_back(make_nm("2:4 f32 tiles", {2, 4}, DType::f32, true, weight, shape));
  sparse.push_back(make_nm("2:4 bf16 bits", {2, 4}, DType::bf16, false, weight, shape));
  sparse.push_back(make_nm("4:8 bf16", {4, 8}, DType::bf16, false, weight, shape));
  sparse.push_back(make_nm("4:8 f32", {4, 8}, DType::f32, false, weight, shape));
  sparse.push_back(make_nm("6:8 bf16", {6, 8}, DType::bf16, false, weight, shape));
  sparse.push_back(make_unstructured("50 % bf16", DType::bf16, weight, shape));
  for (const int64_t tokens : options.tokens) {
    const auto x = random_floats(tokens * shape.in_features);
    std::vector<float> y(tokens * shape.out_features);
    const MatrixView<const float> inputs(x.data(), tokens, shape.in_features);
    const MatrixView<float> outputs(y.data(), tokens, shape.out_features);
    OneDnn dense(tokens, shape, weight, x.data(), y.data());
    std::vector<Contender> contenders;
    contenders.push_back({"oneDNN f32", [&] { dense.run(); }});
    for (Sparse& one : sparse) contenders.push_back({one.name, [&] { one.run(shape, inputs, outputs); }});
    const WeightView rows = sparse[2].packed[0].view();
    contenders.push_back({"2:4 bf16 as dense", [&] { dense_gemm(rows, inputs, {}, outputs); }});
    if (tokens <= 64)
      contenders.push_back({"2:4 bf16 few", [&] { few_linear(sparse[0].tiles[0].view(), inputs, {}, outputs); }});
    for (auto& contender : contenders) contender.run();  // oneDNN compiles its kernels at first use
    for (int run = 0; run < options.runs; ++run)
      for (auto& contender : contenders) contender.times.push_back(seconds(contender.run));
    for (auto& contender : contenders) {
      std::vector<double> ratios;
      for (int i = 0; i < options.runs; ++i) ratios.push_back(contenders[0].times[i] / contender.times[i]);
      const double time = median(contender.times);
      const double flops = 2.0 * static_cast<double>(tokens * shape.out_features * shape.in_features);
      table.add_row({shape.name, std::to_string(tokens), contender.name, fmt::format("{:.2f}", time * 1e3),
                     fmt::format("{:.1f}", flops / time * 1e-9), fmt::format("{:.2f}x", median(ratios))});
    }
    table.add_rule();
  }
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (has_value && std::strcmp(argv[i], "--threads") == 0) {
      options.threads = std::atoi(argv[++i]);
    } else if (has_value && std::strcmp(argv[i], "--runs") == 0) {
      options.runs = std::atoi(argv[++i]);
    } else if (has_value && std::strcmp(argv[i], "--shape") == 0) {
      options.shape = std::atoi(argv[++i]);
    } else {
      options.tokens.push_back(std::atoll(argv[i]));
    }
  }
  if (options.tokens.empty()) options.tokens = {128, 512, 2048};
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  set_thread_count(options.threads);
  std::printf("%d threads, gather kernels: %s, medians of %d interleaved runs\n", thread_count(),
              kernels<GatherKernels>().isa, options.runs);
  Table table({"shape", "tokens", "weight", "ms", "GFLOP/s (dense)", "speed vs oneDNN f32"});
  for (size_t i = 0; i < kLlama3_8B.size(); ++i)
    if (options.shape < 0 || options.shape == static_cast<int>(i)) bench_shape(kLlama3_8B[i], options, table);
  std::fputs(table.text().c_str(), stdout);
  return 0;
}
