// One option of every group: all combinations that no other one beats. The optimisation behind --budget.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace esparse {

// What an option costs: predicted divergence, bytes, seconds.
struct Costs {
  double loss = 0, bytes = 0, seconds = 0;

  Costs& operator+=(const Costs& other) {
    loss += other.loss, bytes += other.bytes, seconds += other.seconds;
    return *this;
  }
};

struct Selection {
  std::vector<int32_t> options;  // one per group
  Costs total;
};

// The selections that no other one beats in all three (not worse anywhere, better somewhere), by ascending bytes, then
// seconds; of equal ones the first. Groups are not empty, their numbers finite. Exact as long as no step on the way has
// more than `most` of them. Beyond that bytes and seconds are counted in sqrt(most) equal steps each and of every pair
// of steps the one of least loss is kept: a selection of the true front is then missed by no more than one step of
// either for every group.
std::vector<Selection> pareto_front(std::span<const std::vector<Costs>> groups, size_t most = 1 << 16);

}  // namespace esparse
