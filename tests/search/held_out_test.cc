// HeldOutLoss from the dense model, against plain loops in double over the logits.
#include "search/held_out.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/parallel.h"
#include "eval/perplexity.h"
#include "model/cpu_engine.h"
#include "prune/golden_models.h"

namespace esparse {
namespace {

// The model with a tenth of a block's weights gone.
std::unique_ptr<Model> disturbed(const std::string& name) {
  auto model = load_golden(name);
  LinearLayer& up = model->blocks()[0].up;
  Matrix<float> weight = up.weight_as_f32();
  for (size_t k = 0; k < weight.values().size(); k += 10) weight.values()[k] = 0;
  std::vector<std::byte> bytes(weight.values().size() * dtype_bytes(up.dtype()));
  convert_from_f32(up.dtype(), weight.values(), bytes.data());
  up.set_dense(std::move(bytes));
  return model;
}

std::vector<std::vector<int32_t>> unequal_windows(const Model& model) {
  auto windows = random_windows(model, 3, 7);
  windows[1].resize(2);
  windows[2].resize(17);
  return windows;
}

TEST(HeldOut, AgreesWithPlainLoops) {
  for (const char* name : {"llama1-mha", "opt-prenorm", "llama-tied"}) {
    const auto dense = load_golden(name), other = disturbed(name);
    const auto windows = unequal_windows(*dense);
    double kl = 0, nll = 0, dense_nll = 0, tokens = 0;
    for (const auto& window : windows) {
      const Matrix<float> p = logits_of(*dense, window), q = logits_of(*other, window);
      for (size_t t = 0; t + 1 < window.size(); ++t, ++tokens) {
        double sum_p = 0, sum_q = 0;
        for (int64_t v = 0; v < p.cols(); ++v) sum_p += std::exp(double{p(t, v)}), sum_q += std::exp(double{q(t, v)});
        for (int64_t v = 0; v < p.cols(); ++v) {
          const double log_p = p(t, v) - std::log(sum_p), log_q = q(t, v) - std::log(sum_q);
          kl += std::exp(log_p) * (log_p - log_q);
        }
        nll += std::log(sum_q) - q(t, window[t + 1]);
        dense_nll += std::log(sum_p) - p(t, window[t + 1]);
      }
    }
    const auto held_out = HeldOut::create(*dense, windows);
    ASSERT_OK(held_out);
    EXPECT_EQ(held_out->predicted_tokens(), 23 + 1 + 16);
    EXPECT_NEAR(held_out->dense_nll(), dense_nll / tokens, 1e-6);
    const auto got = held_out->measure(*other);
    ASSERT_OK(got);
    EXPECT_GT(got->kl, 1e-5) << "the disturbance must show";
    EXPECT_NEAR(got->kl, kl / tokens, 1e-4 * kl / tokens + 1e-9) << name;
    EXPECT_NEAR(got->nll, nll / tokens, 1e-6) << name;
    EXPECT_NEAR(got->nll_rise, (nll - dense_nll) / tokens, 2e-6) << name;
    const auto itself = held_out->measure(*dense);
    ASSERT_OK(itself);
    EXPECT_EQ(itself->kl, 0);
    EXPECT_EQ(itself->nll_rise, 0);
  }
}

// The loss is that of `esparse eval` on the same windows.
TEST(HeldOut, LossIsThatOfPerplexity) {
  const auto dense = load_golden("llama1-mha");
  const auto windows = random_windows(*dense, 4, 3);
  std::vector<TextWindow> text;
  for (const auto& window : windows) text.push_back({window, static_cast<int64_t>(window.size()) - 1});
  CpuEngine engine(*dense);
  const auto perplexity = measure_perplexity(engine, {.windows = text});
  const auto held_out = HeldOut::create(*dense, windows);
  ASSERT_TRUE(perplexity.ok() && held_out.ok());
  EXPECT_NEAR(held_out->dense_nll(), perplexity->nll.mean, 1e-6);
}

TEST(HeldOut, SameBitsForAnyThreadCount) {
  const auto dense = load_golden("llama1-mha"), other = disturbed("llama1-mha");
  std::vector<HeldOutLoss> results;
  for (const int threads : {1, 2, 4}) {
    set_thread_count(threads);
    const auto held_out = HeldOut::create(*dense, unequal_windows(*dense));
    ASSERT_OK(held_out);
    results.push_back(held_out->measure(*other).value());
    EXPECT_EQ(results.back().kl, results.front().kl);
    EXPECT_EQ(results.back().nll_rise, results.front().nll_rise);
  }
  set_thread_count(0);
}

}  // namespace
}  // namespace esparse
