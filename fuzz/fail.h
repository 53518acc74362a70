// How a target reports a difference: a line that says what, then abort(), which fuzzer and replay both notice.
#pragma once

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace esparse::fuzz {

template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  std::fputs((fmt::format(format, std::forward<Args>(args)...) + "\n").c_str(), stderr);
  std::abort();
}

}  // namespace esparse::fuzz
