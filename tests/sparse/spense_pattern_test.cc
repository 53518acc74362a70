#include "sparse/spense_pattern.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

TEST(SpensePattern, Parses) {
  struct Case {
    const char* text;
    NmPattern nm;
    std::optional<double> fraction;
  };
  for (const Case& expected :
       {Case{"spense", {2, 4}, {}}, Case{"spense:0.25", {2, 4}, 0.25}, Case{"spense:1/8", {2, 4}, 0.125},
        Case{"spense:4:8", {4, 8}, {}}, Case{"spense:.5:6:8", {6, 8}, 0.5}, Case{"spense:3/8:1:3", {1, 3}, 0.375}}) {
    ASSERT_TRUE(SpensePattern::is_meant(expected.text));
    const auto pattern = SpensePattern::parse(expected.text);
    ASSERT_OK(pattern);
    EXPECT_EQ(pattern->nm, expected.nm) << expected.text;
    EXPECT_EQ(pattern->dense_fraction, expected.fraction) << expected.text;
  }
}

TEST(SpensePattern, TextComesBack) {
  EXPECT_EQ(spense_text({2, 4}, 0.25), "spense:0.25");
  EXPECT_EQ(spense_text({4, 8}, 0.125), "spense:0.125:4:8");
  const auto third = SpensePattern::parse(spense_text({2, 4}, 1.0 / 3));
  ASSERT_OK(third);
  EXPECT_EQ(third->dense_fraction, 1.0 / 3);
}

TEST(SpensePattern, RefusesWhatIsNoFraction) {
  for (const char* fraction :
       {"0", "1", "0.0", "1.5", "-0.25", "nan", "1e-1", "", "1/", "/4", "4/4", "5/4", "1/0", "x", "1/4/2", " 0.25"}) {
    EXPECT_FAILURE(parse_fraction(fraction), StatusKind::invalid_argument, "expected a share between 0 and 1")
        << fraction;
    EXPECT_FAILURE(SpensePattern::parse(std::string("spense:") + fraction), StatusKind::invalid_argument, "spense:");
  }
}

TEST(SpensePattern, RefusesWhatIsNoPattern) {
  for (const char* text : {"spense:4:4", "spense:0.25:", "spense:0.25:2", "spense:0.25:4:2", "spense:1:2:3:4",
                           "spense:2:4:0.25", "spense:0.25:2:33"})
    EXPECT_FAILURE(SpensePattern::parse(text), StatusKind::invalid_argument, "spense[:FRACTION][:N:M]") << text;
  EXPECT_FAILURE(SpensePattern::parse("spent"), StatusKind::invalid_argument, "expected a Spense pattern");
  EXPECT_FALSE(SpensePattern::is_meant("spense2:4"));
  EXPECT_FALSE(SpensePattern::is_meant("2:4"));
}

}  // namespace
}  // namespace esparse
