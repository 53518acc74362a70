// N:M patterns. N:M always means N KEPT of every M consecutive inputs of one output row.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace esparse {

struct NmPattern {
  int kept = 2;   // N, 1 <= kept < group
  int group = 4;  // M, 2 <= group <= kMaxGroup

  static constexpr int kMaxGroup = 32;

  // "2:4" -> {2, 4}. Refuses anything else, N >= M (a user may mean zeros by N: the message says what N:M means here),
  // M > 32.
  static Result<NmPattern> parse(std::string_view text);

  bool valid() const { return kept >= 1 && kept < group && group <= kMaxGroup; }
  std::string text() const;  // "2:4"
  double density() const { return static_cast<double>(kept) / group; }
  bool operator==(const NmPattern&) const = default;
};

}  // namespace esparse
