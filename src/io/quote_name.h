// Names out of files as errors show them: in quotes, control characters escaped, long ones cut.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace esparse {

inline std::string quote_name(std::string_view text) {
  constexpr size_t kShownBytes = 200;  // a message stays readable; real tensor names are below 100
  if (text.size() <= kShownBytes) return fmt::format("{:?}", text);
  return fmt::format("{:?}... ({} bytes)", text.substr(0, kShownBytes), text.size());
}

}  // namespace esparse
