#include "eval/estimates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace esparse {
namespace {

// 1 2 3 6: mean 3, squares 4 + 1 + 0 + 9 = 14, sample variance 14/3, standard error sqrt(14/3/4).
TEST(Estimates, WorkedByHand) {
  const std::vector<double> values = {1, 2, 3, 6};
  const Estimate estimate = estimate_mean(values);
  EXPECT_DOUBLE_EQ(estimate.mean, 3);
  EXPECT_DOUBLE_EQ(estimate.standard_error, std::sqrt(14.0 / 3 / 4));
  const Estimate ratio = exp_of(estimate);
  EXPECT_DOUBLE_EQ(ratio.mean, std::exp(3.0));
  EXPECT_DOUBLE_EQ(ratio.standard_error, std::exp(3.0) * estimate.standard_error);
}

TEST(Estimates, SharesAreMeansOfZerosAndOnes) {
  const std::vector<double> values = {1, 0, 0, 1, 1, 0, 0};
  const Estimate mean = estimate_mean(values), share = estimate_share(3, 7);
  EXPECT_DOUBLE_EQ(share.mean, mean.mean);
  EXPECT_NEAR(share.standard_error, mean.standard_error, 1e-15);
}

TEST(Estimates, OfOneValueOrNone) {
  EXPECT_EQ(estimate_mean(std::vector<double>{5}).standard_error, 0);
  EXPECT_EQ(estimate_share(1, 1).standard_error, 0);
  EXPECT_EQ(estimate_mean({}).mean, 0);
}

// numpy.percentile([4, 1, 3, 2], 50) = 2.5, (.., 99) = 3.97.
TEST(Estimates, PercentilesLieBetweenNeighbours) {
  const std::vector<double> values = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(percentile(values, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(percentile(values, 0.99), 3.97);
  EXPECT_DOUBLE_EQ(percentile(values, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(values, 1), 4);
}

}  // namespace
}  // namespace esparse
