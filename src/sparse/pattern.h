// N:M patterns. N:M always means N KEPT of every M consecutive inputs of one output row. Where M does not divide a row,
// its last group is shorter, the tail; it keeps ceil(N * tail / M), so never less than its share.
#pragma once

#include <cstdint>
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
  // How many of `columns` consecutive inputs are kept when the first of them starts a group: N of every whole group and
  // the share of the tail.
  int64_t kept_in(int64_t columns) const {
    const auto tail = static_cast<int>(columns % group);
    return columns / group * kept + (kept * tail + group - 1) / group;
  }
  double density() const { return static_cast<double>(kept) / group; }  // of whole groups
  bool operator==(const NmPattern&) const = default;
};

}  // namespace esparse
