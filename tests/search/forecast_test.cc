#include "search/forecast.h"

#include <gtest/gtest.h>

#include <cmath>

namespace esparse {
namespace {

TEST(Forecast, IsTheSumUntilSomethingIsKnown) {
  Forecast forecast;
  for (const double sum : {0.0, 0.01, 0.5, 3.0}) EXPECT_DOUBLE_EQ(forecast.at(sum), sum);
  forecast.add(0.0, 0.1), forecast.add(0.1, -0.01), forecast.add(0.2, 0.0);  // these say nothing
  EXPECT_DOUBLE_EQ(forecast.at(0.25), 0.25);
}

TEST(Forecast, OneModelScalesTheSum) {
  Forecast forecast;
  forecast.add(0.2, 0.3);
  EXPECT_NEAR(forecast.at(0.2), 0.3, 1e-15);
  EXPECT_NEAR(forecast.at(0.02), 0.03, 1e-15);
}

TEST(Forecast, FindsAPowerLaw) {
  Forecast forecast;
  for (const double sum : {0.01, 0.05, 0.2, 0.7}) forecast.add(sum, 1.3 * std::pow(sum, 1.2));
  for (const double sum : {0.003, 0.03, 0.1, 2.0}) EXPECT_NEAR(forecast.at(sum), 1.3 * std::pow(sum, 1.2), 1e-12);
}

// Between two scales the near models count for more: the law of the small sums holds among them.
TEST(Forecast, FollowsWhatIsNear) {
  Forecast forecast;
  for (const double sum : {0.001, 0.002, 0.004}) forecast.add(sum, sum);
  for (const double sum : {1.0, 2.0, 4.0}) forecast.add(sum, 3 * sum);
  EXPECT_NEAR(forecast.at(0.002), 0.002, 0.0001);
  EXPECT_NEAR(forecast.at(2.0), 6.0, 0.1);
}

// Two models at nearly the same sum cannot ask for a wild exponent (their weights differ a little from place to place).
TEST(Forecast, KeepsItsExponentInBounds) {
  Forecast forecast;
  forecast.add(0.100, 0.1), forecast.add(0.101, 0.2);
  const double factor = forecast.at(0.2) / forecast.at(0.1);
  EXPECT_LE(factor, std::pow(2, 2.0) * 1.05);
  EXPECT_GE(factor, std::pow(2, 0.5) / 1.05);
}

}  // namespace
}  // namespace esparse
