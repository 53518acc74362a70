// From weights and inputs to orders and masks, against float64 fixtures: everything that is a decision must be equal.
#include <gtest/gtest.h>

#include "prune/golden_cases.h"
#include "prune/mask.h"
#include "prune/saliency.h"
#include "prune/shuffle.h"

namespace esparse {
namespace {

std::vector<uint8_t> mask_in_order(const Matrix<float>& saliency, const ChannelOrder& order, NmPattern pattern) {
  Matrix<float> ordered(saliency.rows(), saliency.cols());
  for (int64_t row = 0; row < saliency.rows(); ++row)
    for (int64_t k = 0; k < saliency.cols(); ++k) ordered(row, k) = saliency(row, order[k]);
  Matrix<uint8_t> mask(saliency.rows(), saliency.cols());
  nm_mask(ordered.view(), pattern, mask.view());
  return {mask.values().begin(), mask.values().end()};
}

TEST(PruneGolden, OrdersAndMasks) {
  int compared = 0;
  for (const GoldenCase& golden : golden_cases()) {
    const InputStatistics statistics = gather_statistics(golden.inputs, golden.sequences, {});
    for (const SaliencyMethod& method : saliency_methods()) {
      if (method.needs.gram) continue;  // obs has no fixture: its worked example is in saliency_test.cc
      Matrix<float> saliency(golden.weight.rows(), golden.weight.cols());
      method.score(golden.weight.view(), statistics, {}, saliency.view());
      for (const NmPattern pattern : {NmPattern{2, 4}, NmPattern{4, 8}}) {
        const std::string suffix = fmt::format("{}of{}", pattern.kept, pattern.group);
        const std::string mask_name = fmt::format("mask.{}.", method.name);
        if (!golden.has(mask_name + suffix)) continue;  // 12 inputs make no groups of eight
        EXPECT_EQ(mask_in_order(saliency, identity_order(saliency.cols()), pattern),
                  golden.values<uint8_t>(mask_name + suffix))
            << golden.name << " " << mask_name << suffix;
        for (const auto& [style, style_name] : {std::pair{DealStyle::deal, "deal."}, {DealStyle::snake, "snake."}}) {
          const ChannelOrder order = global_naive_shuffle(saliency.view(), pattern, style);
          EXPECT_EQ(order, golden.values<int32_t>(fmt::format("order.{}.{}{}", method.name, style_name, suffix)))
              << golden.name;
          EXPECT_EQ(mask_in_order(saliency, order, pattern), golden.values<uint8_t>(mask_name + style_name + suffix))
              << golden.name << " " << mask_name << style_name << suffix;
          ++compared;
        }
      }
    }
  }
  EXPECT_GE(compared, 70);  // 4 cases, 5 methods, 2 styles, 2 patterns but for one case
}

}  // namespace
}  // namespace esparse
