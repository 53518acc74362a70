#include "report/terminal.h"

#include <gtest/gtest.h>

namespace esparse {
namespace {

TEST(Styled, IsPlainWithoutColours) {
  EXPECT_EQ(styled("x", Style::bad, {}), "x");
  EXPECT_EQ(styled("x", Style::bad, {0, true}), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(styled("x", Style::plain, {0, true}), "x");
}

}  // namespace
}  // namespace esparse
