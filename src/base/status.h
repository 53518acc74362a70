// Status and Result<T>: how every failure that a user, a file or a machine can cause travels.
// A message says what, which, expected, got - in that order. Nothing here throws or prints.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace esparse {

enum class StatusKind {
  ok,
  invalid_argument,
  not_found,
  corruption,
  unsupported,
  out_of_memory,
  io,
  numeric,
  internal,
  interrupted  // by the user, who has been shown what is known so far
};

std::string_view status_kind_name(StatusKind kind);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  bool ok() const { return kind_ == StatusKind::ok; }
  StatusKind kind() const { return kind_; }
  const std::string& message() const { return message_; }

  // The same failure with "<context>: " before the message: callers add which file, tensor or option.
  Status with_context(std::string_view context) const;

 private:
  StatusKind kind_ = StatusKind::ok;
  std::string message_;
};

template <typename... Args>
Status make_status(StatusKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Status(kind, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status invalid_argument(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::invalid_argument, format, std::forward<Args>(args)...);
}
template <typename... Args>
Status not_found(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::not_found, format, std::forward<Args>(args)...);
}
template <typename... Args>
Status corruption(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::corruption, format, std::forward<Args>(args)...);
}
template <typename... Args>
Status unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::unsupported, format, std::forward<Args>(args)...);
}
template <typename... Args>
Status io_error(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::io, format, std::forward<Args>(args)...);
}
template <typename... Args>
Status numeric_error(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::numeric, format, std::forward<Args>(args)...);
}
template <typename... Args>
Status internal_error(fmt::format_string<Args...> format, Args&&... args) {
  return make_status(StatusKind::internal, format, std::forward<Args>(args)...);
}

// Either a value or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by intent, as in `return value;`
  Result(Status status) : status_(std::move(status)) {  // NOLINT
    if (status_.ok()) status_ = Status(StatusKind::internal, "a Result was made from an ok Status without a value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Only when ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

// A broken promise inside the program itself (never a user's mistake): says where, and stops.
[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace esparse

#define ESPARSE_CHECK(condition)                                               \
  do {                                                                         \
    if (!(condition)) ::esparse::check_failed(__FILE__, __LINE__, #condition); \
  } while (0)

#define ESPARSE_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                     \
    if (::esparse::Status status_of_expression = (expression); !status_of_expression.ok()) \
      return status_of_expression;                                                         \
  } while (0)

#define ESPARSE_CONCAT_INNER(a, b) a##b
#define ESPARSE_CONCAT(a, b) ESPARSE_CONCAT_INNER(a, b)
// ESPARSE_ASSIGN_OR_RETURN(auto x, f()): x = the value of f(), or return its Status.
#define ESPARSE_ASSIGN_OR_RETURN(target, expression) \
  ESPARSE_ASSIGN_OR_RETURN_INNER(ESPARSE_CONCAT(result_on_line_, __LINE__), target, expression)
#define ESPARSE_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                      \
  if (!result.ok()) return result.status();                        \
  target = std::move(result).value()
