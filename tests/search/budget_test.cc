#include "search/budget.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

Result<Budget> parse(std::vector<std::string> texts) { return Budget::parse(texts); }

TEST(Budget, Parses) {
  EXPECT_DOUBLE_EQ(*parse({"ppl<=+3%"})->ppl_rise, 0.03);
  EXPECT_DOUBLE_EQ(*parse({"ppl<=+0.5%"})->ppl_rise, 0.005);
  EXPECT_DOUBLE_EQ(*parse({"kl<=0.02"})->kl, 0.02);
  EXPECT_DOUBLE_EQ(*parse({"speedup>=1.3"})->speedup, 1.3);
  EXPECT_DOUBLE_EQ(*parse({"bytes<=0.7x"})->bytes_share, 0.7);
  const auto both = parse({"bytes<=.7x", "ppl<=+12%"});
  ASSERT_OK(both);
  EXPECT_TRUE(both->limits_loss() && both->limits_cost());
  EXPECT_FALSE(both->kl || both->speedup);
  EXPECT_EQ(both->text(), "ppl<=+12%, bytes<=0.7x");
  EXPECT_FALSE(parse({"kl<=1"})->limits_cost());
  EXPECT_FALSE(parse({"speedup>=2"})->limits_loss());
}

TEST(Budget, RefusesWhatIsNone) {
  for (const char* text :
       {"",           "ppl",          "ppl<=3%",    "ppl<=+3",       "ppl<=+%",    "ppl<=+0%",  "ppl<=+-3%",
        "ppl<=+nan%", "ppl>=+3%",     "ppl<=+1e1%", "kl<=0",         "kl<=",       "kl<=x",     "kl<=-1",
        "speedup>=1", "speedup>=0.5", "speedup<=2", "speedup>=1.3x", "bytes<=0.7", "bytes<=1x", "bytes<=1.2x",
        "bytes<=0x",  "bytes<=x",     " kl<=0.02",  "memory<=3"})
    EXPECT_FAILURE(parse({text}), StatusKind::invalid_argument, "--budget: ") << text;
  EXPECT_FAILURE(parse({"kl<=2.5.1"}), StatusKind::invalid_argument, "ppl<=+3%, kl<=0.02, speedup>=1.3, bytes<=0.7x");
}

TEST(Budget, TakesTwoDifferentOnes) {
  EXPECT_FAILURE(parse({}), StatusKind::invalid_argument, "one or two");
  EXPECT_FAILURE(parse({"kl<=1", "ppl<=+3%", "bytes<=0.5x"}), StatusKind::invalid_argument, "one or two");
  EXPECT_FAILURE(parse({"kl<=1", "kl<=2"}), StatusKind::invalid_argument, "kl is limited already");
}

}  // namespace
}  // namespace esparse
