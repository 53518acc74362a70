// The engine's linear against bare oneDNN, on the linears of Llama-3-8B: the same product, the same threads, taking
// turns in one run, weights cold (a pool of copies larger than the cache). Prints medians of the ratios.
//
//   linear_bench [tokens...]     default: 1 128 512
//
// Baseline: oneDNN's matmul primitive with the weight already in the layout it prefers (its reorder is not timed), in
// f32, and in bf16 where this CPU's oneDNN has it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <dnnl.hpp>

#include "base/parallel.h"
#include "kernels/linear.h"
#include "kernels/row_kernels.h"
#include "report/table.h"
#include "shapes.h"

namespace {

using namespace esparse;

constexpr int kRepetitions = 9;
constexpr int64_t kColdBytes = 96 << 20;  // beyond the last-level caches of common machines

double seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

std::vector<float> random_floats(int64_t count) {
  std::vector<float> values(count);
  uint32_t state = 12345;
  for (float& value : values)
    value = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1.0f;
  return values;
}

int64_t copies_needed(int64_t bytes) { return std::clamp<int64_t>(kColdBytes / bytes + 1, 1, 16); }

// oneDNN's matmul with weights in its own layout; nothing when this CPU has no implementation worth the name.
class OneDnnMatmul {
 public:
  static std::optional<OneDnnMatmul> create(dnnl::memory::data_type type, int64_t tokens, const LinearShape& shape,
                                            const std::vector<float>& weight) {
    using dnnl::memory;
    OneDnnMatmul m;
    const memory::desc x({tokens, shape.in_features}, type, memory::format_tag::ab);
    const memory::desc w({shape.in_features, shape.out_features}, type, memory::format_tag::any);
    const memory::desc y({tokens, shape.out_features}, memory::data_type::f32, memory::format_tag::ab);
    try {
      const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(x, w, y), m.engine_);
      if (std::string(descriptor.impl_info_str()).find("ref") != std::string::npos) return std::nullopt;
      m.matmul_ = dnnl::matmul(descriptor);
      memory plain({{shape.in_features, shape.out_features}, memory::data_type::f32, memory::format_tag::ba}, m.engine_,
                   const_cast<float*>(weight.data()));
      m.weight_ = memory(descriptor.weights_desc(), m.engine_);
      dnnl::reorder(plain, m.weight_).execute(m.stream_, plain, m.weight_);
      m.x_ = memory(x, m.engine_);
      m.y_ = memory(y, m.engine_);
      m.stream_.wait();
    } catch (const dnnl::error&) {
      return std::nullopt;
    }
    return m;
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

// The same with several copies of the weight, used in turn.
struct OneDnnPool {
  static std::optional<OneDnnPool> create(dnnl::memory::data_type type, int64_t tokens, const LinearShape& shape,
                                          const std::vector<float>& weight) {
    const int64_t element_bytes = type == dnnl::memory::data_type::f32 ? 4 : 2;
    OneDnnPool pool;
    for (int64_t copy = 0; copy < copies_needed(static_cast<int64_t>(weight.size()) * element_bytes); ++copy) {
      auto matmul = OneDnnMatmul::create(type, tokens, shape, weight);
      if (!matmul) return std::nullopt;
      pool.matmuls.push_back(std::move(*matmul));
    }
    return pool;
  }
  void run() { matmuls[turn++ % matmuls.size()].run(); }

  std::vector<OneDnnMatmul> matmuls;
  size_t turn = 0;
};

// Copies of one weight, used in turn so that each use finds it out of the cache.
struct ColdWeight {
  std::vector<std::vector<std::byte>> copies;
  std::vector<NmMatrix> packed;
  WeightView next(DType dtype, const LinearShape& shape) {
    turn = (turn + 1) % std::max(copies.size(), packed.size());
    if (!packed.empty()) return packed[turn].view();
    return DenseView{dtype, shape.out_features, shape.in_features, copies[turn].data()};
  }
  size_t turn = 0;
};

ColdWeight dense_copies(DType dtype, const std::vector<float>& weight) {
  std::vector<std::byte> bytes(weight.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, weight, bytes.data());
  ColdWeight cold;
  cold.copies.assign(copies_needed(static_cast<int64_t>(bytes.size())), bytes);
  return cold;
}

ColdWeight packed_copies(DType dtype, std::vector<float> weight, const LinearShape& shape) {
  for (size_t i = 0; i < weight.size(); i += 4)
    weight[i + (i / 4) % 4] = weight[i + (i / 4 + 1 + i / 16 % 3) % 4] = 0.0f;
  std::vector<std::byte> bytes(weight.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, weight, bytes.data());
  auto packed = pack_nm({2, 4}, dtype, bytes, shape.out_features, shape.in_features);
  ESPARSE_CHECK(packed.ok());
  ColdWeight cold;
  cold.packed.assign(copies_needed(packed->view().values_bytes() + packed->view().bitmask_bytes()), *packed);
  return cold;
}

struct Contender {
  std::string name;
  std::function<void()> run;
  std::vector<double> times = {};
};

void bench_shape(const LinearShape& shape, int64_t tokens, Table& table) {
  const auto weight = random_floats(shape.out_features * shape.in_features);
  const auto x = random_floats(tokens * shape.in_features);
  std::vector<float> y(tokens * shape.out_features);
  const MatrixView<const float> inputs(x.data(), tokens, shape.in_features);
  const MatrixView<float> outputs(y.data(), tokens, shape.out_features);
  ColdWeight f32 = dense_copies(DType::f32, weight), bf16 = dense_copies(DType::bf16, weight),
             nm = packed_copies(DType::bf16, weight, shape);
  auto onednn_f32 = OneDnnPool::create(dnnl::memory::data_type::f32, tokens, shape, weight);
  auto onednn_bf16 = OneDnnPool::create(dnnl::memory::data_type::bf16, tokens, shape, weight);

  std::vector<Contender> contenders;
  if (onednn_f32) contenders.push_back({"oneDNN f32", [&] { onednn_f32->run(); }});
  if (onednn_bf16) contenders.push_back({"oneDNN bf16", [&] { onednn_bf16->run(); }});
  contenders.push_back({"esparse f32", [&] { linear(f32.next(DType::f32, shape), inputs, {}, outputs); }});
  contenders.push_back({"esparse bf16", [&] { linear(bf16.next(DType::bf16, shape), inputs, {}, outputs); }});
  contenders.push_back({"esparse 2:4 bf16", [&] { linear(nm.next(DType::bf16, shape), inputs, {}, outputs); }});
  for (auto& contender : contenders) contender.run();  // oneDNN compiles its kernels at first use
  for (int repetition = 0; repetition < kRepetitions; ++repetition)
    for (auto& contender : contenders) contender.times.push_back(seconds(contender.run));

  for (auto& contender : contenders) {
    std::vector<double> ratios;
    for (int i = 0; i < kRepetitions; ++i) ratios.push_back(contenders[0].times[i] / contender.times[i]);
    const double time = median(contender.times);
    const double flops = 2.0 * static_cast<double>(tokens * shape.out_features * shape.in_features);
    table.add_row({shape.name, std::to_string(tokens), contender.name, fmt::format("{:.2f}", time * 1e3),
                   fmt::format("{:.1f}", flops / time * 1e-9), fmt::format("{:.2f}x", median(ratios))});
  }
  table.add_rule();
}

}  // namespace

int main(int argc, char** argv) {
  set_thread_count(0);
  std::vector<int64_t> token_counts;
  for (int i = 1; i < argc; ++i) token_counts.push_back(std::atoll(argv[i]));
  if (token_counts.empty()) token_counts = {1, 128, 512};
  std::printf("%d threads, row kernels: %s, medians of %d interleaved runs, weights cold\n", thread_count(),
              row_kernels().isa, kRepetitions);
  Table table({"shape", "tokens", "kernel", "ms", "GFLOP/s (dense)", "speed vs oneDNN f32"});
  for (const int64_t tokens : token_counts)
    for (const LinearShape& shape : kLlama3_8B) bench_shape(shape, tokens, table);
  std::fputs(table.text().c_str(), stdout);
  return 0;
}
