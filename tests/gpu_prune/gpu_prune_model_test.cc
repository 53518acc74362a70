// Whole (tiny) models pruned with the GPU and on the CPU.
#include <string>

#include <gtest/gtest.h>

#include "gpu_prune/gpu_prune_device.h"
#include "gpu_prune/gpu_testing.h"
#include "prune/golden_models.h"
#include "prune/prune_model.h"
#include "prune/recipe_file.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// docs/design.md, "Pruning on a GPU": what results may differ by.
constexpr double kEqualMasks = 0.995;
constexpr float kLogits = 0.05f;  // of the largest: a mask that differs moves them

struct Compared {
  int64_t weights = 0, equal = 0;
};

Compared compare_masks(const Model& a, const Model& b) {
  Compared result;
  for (size_t layer = 0; layer < a.blocks().size(); ++layer)
    for (InputSite site : kInputSites) {
      const auto of_a = a.blocks()[layer].linears_at(site), of_b = b.blocks()[layer].linears_at(site);
      for (size_t i = 0; i < of_a.size(); ++i) {
        const Matrix<float> one = of_a[i]->weight_as_f32(), two = of_b[i]->weight_as_f32();
        for (size_t k = 0; k < one.values().size(); ++k)
          result.equal += (one.values()[k] == 0) == (two.values()[k] == 0);
        result.weights += static_cast<int64_t>(one.values().size());
      }
    }
  return result;
}

class GpuPruneModel : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(GpuPruneModel, GivesWhatTheCpuGives) {
  const auto [name, recipe_name] = GetParam();
  const auto recipe = load_recipe(recipe_name);
  ASSERT_OK(recipe);
  const auto on_cpu = load_golden(name), on_gpu = load_golden(name), again = load_golden(name);
  const auto windows = random_windows(*on_cpu, 4, 5);
  const auto device = open_test_device();
  const auto prune_with_gpu = [&](Model& model) {
    const GpuPruneDevice gpu = make_gpu_prune_device(*device, model, kTokens);
    PruneJob job;
    job.device = gpu.view();
    return prune_model(model, *recipe, windows, std::move(job));
  };
  const auto cpu_report = prune_model(*on_cpu, *recipe, windows), gpu_report = prune_with_gpu(*on_gpu);
  ASSERT_OK(cpu_report);
  ASSERT_OK(gpu_report);
  ASSERT_OK(prune_with_gpu(*again));

  const Compared masks = compare_masks(*on_cpu, *on_gpu);
  EXPECT_GE(static_cast<double>(masks.equal), kEqualMasks * static_cast<double>(masks.weights));
  const auto ids = random_windows(*on_cpu, 1, 6)[0];
  EXPECT_LE(largest_difference(logits_of(*on_gpu, ids), logits_of(*on_cpu, ids)), kLogits);
  EXPECT_TRUE(same_bits(logits_of(*on_gpu, ids), logits_of(*again, ids))) << "not deterministic";
  ASSERT_EQ(gpu_report->linears.size(), cpu_report->linears.size());
  for (size_t i = 0; i < gpu_report->linears.size(); ++i)
    EXPECT_NEAR(gpu_report->linears[i].retained, cpu_report->linears[i].retained, 1e-3) << gpu_report->linears[i].name;
}

// Interrupted behind the first block and taken up again, with hidden states in files.
TEST(GpuPruneModel, GoesOnWhereItWasInterrupted) {
  const auto recipe = load_recipe("sparsegpt");
  ASSERT_OK(recipe);
  const auto device = open_test_device();
  const auto prune_from = [&](Model& model, PruneJob job) {
    const GpuPruneDevice gpu = make_gpu_prune_device(*device, model, kTokens);
    job.device = gpu.view();
    return prune_model(model, *recipe, random_windows(model, 4, 5), std::move(job));
  };
  const auto whole = load_golden("llama2-gqa-untied"), first = load_golden("llama2-gqa-untied"),
             second = load_golden("llama2-gqa-untied");
  ASSERT_OK(prune_from(*whole, {}));
  const TempDir directory;
  PruneJob job;
  job.directory = directory.path();
  job.block_done = [&](int64_t, const PruneReport& report) {
    job.finished = report;
    return io_error("interrupted");
  };
  EXPECT_TRUE(is_failure(prune_from(*first, job).status(), StatusKind::io, "interrupted"));
  job.first_layer = 1;
  job.block_done = nullptr;
  const auto report = prune_from(*second, job);
  ASSERT_OK(report);
  EXPECT_EQ(report->linears.size(), 14u);
  for (InputSite site : kInputSites)
    for (size_t i = 0; i < whole->blocks()[1].linears_at(site).size(); ++i)
      EXPECT_TRUE(same_bits(whole->blocks()[1].linears_at(site)[i]->weight_as_f32(),
                            second->blocks()[1].linears_at(site)[i]->weight_as_f32()));
}

std::string test_name(const testing::TestParamInfo<std::tuple<const char*, const char*>>& info) {
  std::string name = std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Recipes, GpuPruneModel,
                         testing::Combine(testing::Values("llama2-gqa-untied", "opt-prenorm", "llama-bf16"),
                                          testing::Values("wanda", "esparse", "sparsegpt", "strong", "owl-wanda")),
                         test_name);

}  // namespace
}  // namespace esparse
