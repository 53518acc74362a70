// The pruning methods on real layers against PyTorch in float64 (tests/golden/prune_methods).
#include <map>

#include <gtest/gtest.h>

#include "prune/allocation.h"
#include "prune/dsnot.h"
#include "prune/method_cases.h"
#include "prune/saliency.h"
#include "prune/target.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

// As the fixtures name them.
PruneTarget target_of(const std::string& name) {
  static const std::map<std::string, PruneTarget> targets = {
      {"2of4", PruneTarget::nm({2, 4})},
      {"4of8", PruneTarget::nm({4, 8})},
      {"50row", PruneTarget::unstructured(0.5, SparsityScope::row)},
      {"50layer", PruneTarget::unstructured(0.5, SparsityScope::layer)}};
  return targets.at(name);
}

Matrix<float> score(const MethodCase& layer, const InputStatistics& statistics, std::string_view method) {
  Matrix<float> scores(layer.weight.rows(), layer.weight.cols());
  (*find_saliency(method))->score(layer.weight.view(), statistics, {}, scores.view());
  return scores;
}

// Every decision is the reference's; the outputs are sums of at most 384 products in double, rounded to float once on
// both sides.
void expect_same_result(const MethodCase& layer, const Matrix<uint8_t>& mask, const std::string& result) {
  EXPECT_EQ(mask_difference(mask, layer.mask(result)), 0.0) << layer.name << " " << result;
  const Matrix<float> outputs = sampled_outputs(layer.inputs, masked(layer.weight, mask));
  EXPECT_LE(relative_difference(outputs, layer.outputs(result)), 1.2e-7) << layer.name << " " << result;
}

TEST(MethodGolden, SaliencyMasks) {
  const auto cases = method_cases();
  ASSERT_EQ(cases.size(), 4u);
  for (const MethodCase& layer : cases) {
    const InputStatistics statistics = layer.statistics();
    for (const char* method : {"wanda", "ria", "esparse", "esparse-product"}) {
      const Matrix<float> scores = score(layer, statistics, method);
      for (const char* pattern : {"2of4", "4of8", "50row", "50layer"}) {
        Matrix<uint8_t> mask(scores.rows(), scores.cols());
        make_mask(scores.view(), target_of(pattern), mask.view());
        expect_same_result(layer, mask, std::string(method) + "." + pattern);
      }
    }
  }
}

TEST(MethodGolden, Dsnot) {
  for (const MethodCase& layer : method_cases()) {
    const InputStatistics statistics = layer.statistics();
    const Matrix<float> scores = score(layer, statistics, "wanda");
    for (const char* pattern : {"2of4", "4of8", "50row"}) {
      const PruneTarget target = target_of(pattern);
      Matrix<uint8_t> mask(scores.rows(), scores.cols());
      make_mask(scores.view(), target, mask.view());
      EXPECT_GT(dsnot_refine(layer.weight.view(), statistics, scores.view(), target, {}, mask.view()), 50);
      expect_same_result(layer, mask, std::string("dsnot.") + pattern);
    }
  }
}

// The fixture itself, until a sweep of our own is compared with it: masks obey their pattern, the weights are zero
// exactly where pruned and moved elsewhere, and the sweep loses less than Wanda's masks do.
TEST(MethodGolden, SparseGptFixtureIsConsistent) {
  for (const MethodCase& layer : method_cases()) {
    const Matrix<float> dense = sampled_outputs(layer.inputs, layer.weight);
    for (const auto& [result, wanda] : {std::pair<std::string, std::string>{"sparsegpt.2of4", "wanda.2of4"},
                                        {"sparsegpt.4of8", "wanda.4of8"},
                                        {"sparsegpt.50block", "wanda.50row"}}) {
      const Matrix<float> weight = layer.updated_weight(result);
      const Matrix<uint8_t> mask = layer.mask(result);
      int64_t kept = 0, moved = 0;
      for (size_t k = 0; k < mask.values().size(); ++k) {
        kept += mask.values()[k];
        ASSERT_EQ(weight.values()[k] != 0.0f, mask.values()[k] == 1) << layer.name << " " << result;
        moved += mask.values()[k] == 1 && weight.values()[k] != layer.weight.values()[k];
      }
      EXPECT_EQ(2 * kept, weight.rows() * weight.cols()) << layer.name << " " << result;
      EXPECT_GT(2 * moved, kept) << layer.name << " " << result;
      EXPECT_LE(relative_difference(sampled_outputs(layer.inputs, weight), layer.outputs(result)), 1e-5);
      EXPECT_LT(relative_difference(layer.outputs(result), dense), relative_difference(layer.outputs(wanda), dense))
          << layer.name << " " << result;
    }
  }
}

class OwlGolden : public testing::Test {
 protected:
  void SetUp() override {
    auto store = TensorStore::open_file(method_fixture("owl"));
    ASSERT_OK(store);
    golden_.name = "owl";
    golden_.store = std::move(store).value();
  }

  GoldenCase golden_;
};

TEST_F(OwlGolden, RatiosOfARealModel) {
  const auto model = TensorStore::open_file(ESPARSE_SOURCE_DIR "/models/novel-1m/model.safetensors");
  ASSERT_OK(model);
  const std::vector<std::pair<std::string, std::vector<std::string>>> sites = {
      {"attention", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
      {"output", {"self_attn.o_proj"}},
      {"mlp", {"mlp.gate_proj", "mlp.up_proj"}},
      {"down", {"mlp.down_proj"}}};
  for (double multiple : {5.0, 3.0}) {
    const auto expected = golden_.values<double>(fmt::format("ratios.{}", multiple));
    for (size_t block = 0; block < expected.size(); ++block) {
      std::vector<Matrix<float>> scores;
      for (const auto& [site, linears] : sites) {
        InputStatistics statistics;
        statistics.sequences = golden_.values<int32_t>("num_sequences").at(0);
        statistics.sum_squares = golden_.values<double>(fmt::format("sum_squares.{}.{}", block, site));
        for (const std::string& linear : linears) {
          const TensorInfo* info = model->find(fmt::format("model.layers.{}.{}.weight", block, linear));
          ASSERT_NE(info, nullptr);
          Matrix<float> weight(info->shape[0], info->shape[1]);
          convert_to_f32(info->dtype, info->data.data(), weight.values());
          scores.emplace_back(weight.rows(), weight.cols());
          (*find_saliency("wanda"))->score(weight.view(), statistics, {}, scores.back().view());
        }
      }
      ASSERT_EQ(scores.size(), 7u);
      OutlierRatio ratio(multiple);
      for (const auto& linear : scores) ratio.add_to_mean(linear.view());
      for (const auto& linear : scores) ratio.add_to_count(linear.view());
      EXPECT_NEAR(ratio.percent(), expected[block], 1e-6) << block;
    }
  }
}

TEST_F(OwlGolden, Allocation) {
  const auto ratios = golden_.values<double>("ratios.5");
  for (const char* name : {"plain", "clamped"}) {
    const auto options = golden_.values<double>(fmt::format("sparsities.{}.options", name));
    const auto expected = golden_.values<double>(fmt::format("sparsities.{}", name));
    const auto got = owl_sparsities(ratios, options.at(0), options.at(1));
    ASSERT_EQ(got.size(), expected.size());
    for (size_t block = 0; block < got.size(); ++block) EXPECT_NEAR(got[block], expected[block], 1e-6) << name;
  }
  for (const NmPattern pattern : {NmPattern{4, 8}, {5, 8}, {2, 4}}) {
    const std::string name = fmt::format("kept.{}of{}", pattern.kept, pattern.group);
    const double span = golden_.values<double>(name + ".span").at(0);
    EXPECT_EQ(owl_kept(ratios, span, pattern), golden_.values<int32_t>(name)) << name;
  }
}

}  // namespace
}  // namespace esparse
