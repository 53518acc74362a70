// Whole (tiny) models pruned with the GPU and on the CPU.
#include <algorithm>
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

// docs/methods/on-a-gpu.md, section 4: what results may differ by.
constexpr double kEqualMasks = 0.995;    // given the same statistics, and for Wanda in any case
constexpr float kLogits = 0.05f;         // of the largest, given the same statistics
constexpr double kEqualObsMasks = 0.98;  // OBS, by inputs that were rounded elsewhere
constexpr double kRetained = 0.01;       // of all saliency
constexpr double kOutputError = 0.05;    // relative

// The share of weights on which two models agree whether they are kept.
double equal_masks(const Model& a, const Model& b) {
  int64_t weights = 0, equal = 0;
  for (size_t layer = 0; layer < a.blocks().size(); ++layer)
    for (InputSite site : kInputSites) {
      const auto of_a = a.blocks()[layer].linears_at(site), of_b = b.blocks()[layer].linears_at(site);
      for (size_t i = 0; i < of_a.size(); ++i) {
        const Matrix<float> one = of_a[i]->weight_as_f32(), two = of_b[i]->weight_as_f32();
        for (size_t k = 0; k < one.values().size(); ++k) equal += (one.values()[k] == 0) == (two.values()[k] == 0);
        weights += static_cast<int64_t>(one.values().size());
      }
    }
  return static_cast<double>(equal) / static_cast<double>(weights);
}

struct Case {
  const char* model;
  const char* recipe;
};

class GpuPruneModel : public testing::TestWithParam<Case> {};

// Beside the CPU twice: once with what the GPU has gathered, where sweeps and shuffles must come to the same, and once
// with all that the CPU does itself, whose inputs are rounded otherwise. Orders of channels are chains of decisions and
// differ then, and with them the masks.
TEST_P(GpuPruneModel, GivesWhatTheCpuGives) {
  const auto recipe = load_recipe(GetParam().recipe);
  ASSERT_OK(recipe);
  const auto on_gpu = load_golden(GetParam().model), gathered = load_golden(GetParam().model),
             on_cpu = load_golden(GetParam().model);
  const auto windows = random_windows(*on_cpu, 3, 5);
  const auto device = open_test_device();
  const GpuPruneDevice gpu = make_gpu_prune_device(*device, *on_gpu, kTokens);
  PruneJob all, gathering;
  all.device = gpu.view();
  gathering.device.runner = gpu.runner.get();
  const auto gpu_report = prune_model(*on_gpu, *recipe, windows, std::move(all));
  const auto gathered_report = prune_model(*gathered, *recipe, windows, std::move(gathering));
  const auto cpu_report = prune_model(*on_cpu, *recipe, windows);
  ASSERT_OK(gpu_report);
  ASSERT_OK(gathered_report);
  ASSERT_OK(cpu_report);

  EXPECT_GE(equal_masks(*on_gpu, *gathered), kEqualMasks);
  const auto ids = random_windows(*on_cpu, 1, 6)[0];
  EXPECT_LE(largest_difference(logits_of(*on_gpu, ids), logits_of(*gathered, ids)), kLogits);
  if (recipe->base.shuffle.method == ShuffleMethod::none) {
    const bool sweeps = recipe->base.update.mask_update == MaskUpdate::obs;
    EXPECT_GE(equal_masks(*on_gpu, *on_cpu), sweeps ? kEqualObsMasks : kEqualMasks);
  }
  ASSERT_EQ(gpu_report->linears.size(), cpu_report->linears.size());
  double gpu_error = 0, cpu_error = 0;
  for (size_t i = 0; i < gpu_report->linears.size(); ++i) {
    const PrunedLinear &of_gpu = gpu_report->linears[i], &of_cpu = cpu_report->linears[i];
    EXPECT_NEAR(of_gpu.retained, of_cpu.retained, kRetained) << of_gpu.name;
    gpu_error += of_gpu.output_error, cpu_error += of_cpu.output_error;
  }
  EXPECT_NEAR(gpu_error, cpu_error, kOutputError * cpu_error);
}

// Interrupted behind the first block and taken up again, with hidden states in files.
TEST(GpuPruneModel, GoesOnWhereItWasInterrupted) {
  const auto recipe = load_recipe("sparsegpt");
  ASSERT_OK(recipe);
  const auto device = open_test_device();
  const auto prune_from = [&](Model& model, PruneJob job) {
    const GpuPruneDevice gpu = make_gpu_prune_device(*device, model, kTokens);
    job.device = gpu.view();
    return prune_model(model, *recipe, random_windows(model, 2, 5), std::move(job));
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

TEST(GpuPruneModel, GivesTheSameBitsInEveryRun) {
  const auto recipe = load_recipe("esparse");
  ASSERT_OK(recipe);
  const auto device = open_test_device();
  const auto first = load_golden("llama-bf16"), second = load_golden("llama-bf16");
  for (Model* model : {first.get(), second.get()}) {
    const GpuPruneDevice gpu = make_gpu_prune_device(*device, *model, kTokens);
    PruneJob job;
    job.device = gpu.view();
    ASSERT_OK(prune_model(*model, *recipe, random_windows(*model, 3, 5), std::move(job)));
  }
  const auto ids = random_windows(*first, 1, 6)[0];
  EXPECT_TRUE(same_bits(logits_of(*first, ids), logits_of(*second, ids)));
}

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name = std::string(info.param.model) + "_" + info.param.recipe;
  std::ranges::replace(name, '-', '_');
  return name;
}

// f32 weights are rounded to bf16 for the passes on the GPU, and kept as they are in the result.
INSTANTIATE_TEST_SUITE_P(Recipes, GpuPruneModel,
                         testing::Values(Case{"llama-bf16", "wanda"}, Case{"llama-bf16", "esparse"},
                                         Case{"llama-bf16", "sparsegpt"}, Case{"llama-f16", "owl-wanda"},
                                         Case{"llama2-gqa-untied", "strong"}, Case{"opt-prenorm", "sparsegpt"}),
                         test_name);

}  // namespace
}  // namespace esparse
