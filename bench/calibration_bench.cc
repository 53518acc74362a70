// The forward pass of calibration against its matrix products alone: one decoder block of Llama 3.2 1B over windows of
// 512 tokens, beside bare oneDNN sgemm calls of the block's seven shapes on f32 weights, with the same threads, taking
// turns in one run. Prints medians, and where the time of the block goes.
//
//   calibration_bench [shape [tokens]]     default: llama-1b 512
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <dnnl.h>

#include "base/parallel.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/row_kernels.h"
#include "model/model.h"
#include "report/table.h"
#include "synthetic/synthetic_model.h"

namespace {

using namespace esparse;

constexpr int kRepetitions = 11;

double seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct Contender {
  std::string name;
  std::function<void()> run;
  std::vector<double> times = {};
};

struct Product {
  const LinearLayer* layer;
  Matrix<float> weight, x, y;

  void run_onednn() {
    const int64_t out = weight.rows(), in = weight.cols();
    ESPARSE_CHECK(dnnl_sgemm('N', 'T', x.rows(), out, in, 1.0f, x.data(), in, weight.data(), in, 0.0f, y.data(), out) ==
                  dnnl_success);
  }
};

Matrix<float> ramp(int64_t rows, int64_t cols) {
  Matrix<float> matrix(rows, cols);
  for (int64_t i = 0; i < rows * cols; ++i) matrix.values()[i] = static_cast<float>(i % 2003) / 1001.0f - 1.0f;
  return matrix;
}

std::vector<Product> products_of(const DecoderBlock& block, int64_t tokens) {
  std::vector<Product> products;
  for (InputSite site : kInputSites)
    for (const LinearLayer* layer : block.linears_at(site))
      products.push_back({layer, layer->weight_as_f32(), ramp(tokens, layer->in_features()),
                          Matrix<float>(tokens, layer->out_features())});
  return products;
}

int bench(const SyntheticShape& shape, int64_t tokens) {
  auto checkpoint = synthetic_checkpoint(shape, 1, 0);
  ESPARSE_CHECK(checkpoint.ok());
  auto loaded = Model::load(std::move(checkpoint).value());
  ESPARSE_CHECK(loaded.ok());
  const Model& model = **loaded;
  const ModelConfig& c = model.config();
  std::vector<int32_t> ids(tokens);
  for (int64_t t = 0; t < tokens; ++t) ids[t] = static_cast<int32_t>(t * 7919 % shape.vocab_size);
  Matrix<float> start(tokens, c.hidden_size), hidden = start;
  model.embed(ids, 0, start.view());
  LayerCache cache(DType::f32, tokens, c.num_kv_heads, c.head_dim);
  auto products = products_of(model.blocks()[0], tokens);
  const auto q = ramp(tokens, c.q_features());
  Matrix<float> attended = q, norm(tokens, c.hidden_size), gate = ramp(tokens, c.intermediate_size), up = gate;
  const AttentionShape attention{c.num_heads, c.num_kv_heads, c.head_dim, 0.125f, 0};

  std::vector<Contender> contenders = {
      {"oneDNN sgemm, 7 products",
       [&] {
         for (Product& p : products) p.run_onednn();
       }},
      {"forward_block",
       [&] {
         hidden = start;
         model.forward_block(model.blocks()[0], hidden.view(), 0, cache, nullptr);
       }},
      {"  its 7 linears",
       [&] {
         for (Product& p : products) p.layer->apply(p.x.view(), p.y.view());
       }},
      {"  attention",
       [&] {
         causal_attention(attention, q.view(), cache.keys.first(tokens), cache.values.first(tokens), attended.view());
       }},
      {"  silu", [&] { silu_multiply(gate.view(), up.view()); }},
      {"  two norms",
       [&] {
         for (int i = 0; i < 2; ++i) rms_norm(start.view(), model.blocks()[0].mlp_norm.gain, 1e-5f, {}, norm.view());
       }},
  };
  for (const Product& p : products)
    contenders.push_back({"  " + p.layer->name().substr(p.layer->name().rfind('.') + 1),
                          [&p] { p.layer->apply(p.x.view(), const_cast<Product&>(p).y.view()); }});
  for (auto& contender : contenders) contender.run();
  for (int repetition = 0; repetition < kRepetitions; ++repetition)
    for (auto& contender : contenders) contender.times.push_back(seconds(contender.run));

  double flops = 0;
  for (const Product& p : products) flops += 2.0 * static_cast<double>(p.weight.rows() * p.weight.cols() * tokens);
  Table table({"what", "ms", "GFLOP/s of the products", "oneDNN's time : this"});
  for (const auto& contender : contenders) {
    std::vector<double> ratios;
    for (int i = 0; i < kRepetitions; ++i) ratios.push_back(contenders[0].times[i] / contender.times[i]);
    const double time = median(contender.times);
    table.add_row({contender.name, fmt::format("{:.1f}", time * 1e3), fmt::format("{:.1f}", flops / time * 1e-9),
                   fmt::format("{:.3f}", median(ratios))});
  }
  std::printf("%s, one block, %lld tokens, %d threads, row kernels: %s, medians of %d interleaved runs\n",
              std::string(shape.name).c_str(), static_cast<long long>(tokens), thread_count(), row_kernels().isa,
              kRepetitions);
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  set_thread_count(0);
  auto shape = find_synthetic_shape(argc > 1 ? argv[1] : "llama-1b");
  const long long tokens = argc > 2 ? std::atoll(argv[2]) : 512;
  if (!shape.ok() || tokens < 1) {
    std::fprintf(stderr, "calibration_bench [shape [tokens]]: %s\n", shape.status().message().c_str());
    return 2;
  }
  shape->vocab_size = 4096;  // no part of a block
  return bench(*shape, tokens);
}
