#include "base/nearest.h"

#include <gtest/gtest.h>

namespace esparse {
namespace {

const std::vector<std::string> kOptions = {"--context", "--calib", "--recipe", "--samples", "--seed", "--seqlen"};

TEST(Nearest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest_name("--contxt", kOptions), "--context");
  EXPECT_EQ(nearest_name("--reicpe", kOptions), "--recipe") << "exchanged neighbours are one change";
  EXPECT_EQ(nearest_name("--sample", kOptions), "--samples");
  EXPECT_EQ(did_you_mean("--calibb", kOptions), " (did you mean --calib?)");
}

TEST(Nearest, StaysSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("--bogus", kOptions), "");
  EXPECT_EQ(did_you_mean("x", kOptions), "");
  EXPECT_EQ(did_you_mean("--context", {}), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'a'), kOptions), "");
}

TEST(Nearest, ShortNamesMayDifferByOneLetter) {
  const std::vector<std::string> names = {"best", "ria"};
  EXPECT_EQ(nearest_name("bst", names), "best");
  EXPECT_EQ(nearest_name("bt", names), "");
}

}  // namespace
}  // namespace esparse
