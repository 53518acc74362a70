// Assertions on Status and Result that print the message when they fail.
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/status.h"

namespace esparse {

inline const Status& status_of(const Status& status) { return status; }
template <typename T>
const Status& status_of(const Result<T>& result) {
  return result.status();
}

inline testing::AssertionResult is_failure(const Status& status, StatusKind kind, std::string_view part) {
  if (status.ok()) return testing::AssertionFailure() << "expected a failure with '" << part << "', got ok";
  if (status.kind() == kind && status.message().find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected " << status_kind_name(kind) << " with '" << part << "', got "
                                     << status_kind_name(status.kind()) << ": " << status.message();
}

}  // namespace esparse

#define EXPECT_OK(expression)                                                               \
  do {                                                                                      \
    const auto& status_to_expect = (expression);                                            \
    EXPECT_TRUE(status_to_expect.ok()) << ::esparse::status_of(status_to_expect).message(); \
  } while (0)
#define ASSERT_OK(expression)                                                               \
  do {                                                                                      \
    const auto& status_to_assert = (expression);                                            \
    ASSERT_TRUE(status_to_assert.ok()) << ::esparse::status_of(status_to_assert).message(); \
  } while (0)
// EXPECT_FAILURE(result, StatusKind::corruption, "part of the message")
#define EXPECT_FAILURE(expression, kind, part) \
  EXPECT_TRUE(::esparse::is_failure(::esparse::status_of(expression), kind, part))
