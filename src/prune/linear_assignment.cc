#include "prune/linear_assignment.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace esparse {
namespace {

constexpr int32_t kNone = -1;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Columns carry prices. An assignment is maximal when every row has a column for which value - price is largest: any
// prices may be the start, good ones make the work short.
class AssignmentSolver {
 public:
  explicit AssignmentSolver(MatrixView<const double> value)
      : value_(value),
        size_(value.rows),
        price_(size_),
        column_of_(size_, kNone),
        row_of_(size_, kNone),
        distance_(size_),
        reached_from_(size_),
        unpassed_(size_) {
    ESPARSE_CHECK(value.rows == value.cols);
  }

  std::vector<int32_t> solve() {
    find_prices();
    assign_uncontested();
    for (int64_t row = 0; row < size_; ++row)
      if (column_of_[row] == kNone) augment(static_cast<int32_t>(row));
    return column_of_;
  }

 private:
  struct Bid {
    int32_t column;
    double profit;  // value - price
    double margin;  // over the second best column
  };

  void assign(int32_t row, int32_t column) {
    column_of_[row] = column;
    row_of_[column] = row;
  }

  Bid best_bid(int32_t row) const {
    const double* values = value_.row(row).data();
    double best = -kInfinity, second = -kInfinity;
    int32_t column = 0;
    for (int64_t j = 0; j < size_; ++j) {
      const double profit = values[j] - price_[j];
      if (profit <= second) continue;
      second = std::min(profit, best);
      if (profit <= best) continue;
      best = profit;
      column = static_cast<int32_t>(j);
    }
    return {column, best, best - second};
  }

  // Auctions in which a bid raises the price by at least a step, from large steps to small ones: prices near the
  // final ones after few bids.
  void find_prices() {
    constexpr double kStepFactor = 5.0;     // from one auction to the next
    constexpr double kSmallestStep = 1e-3;  // of the range of values, per row: below it paths cost less than bids
    constexpr int64_t kBidsPerRow = 200;    // 20 to 40 are usual; rows that are all alike would go on and on
    if (size_ < 2) return;
    double low = kInfinity, high = -kInfinity;
    for (int64_t row = 0; row < size_; ++row) {
      const auto [least, most] = std::ranges::minmax(value_.row(row));
      low = std::min(low, least);
      high = std::max(high, most);
    }
    const double last = kSmallestStep * (high - low) / static_cast<double>(size_);
    int64_t bids_left = kBidsPerRow * size_;
    for (double step = (high - low) / 2; step > last && bids_left > 0; step /= kStepFactor)
      hold_auction(step, bids_left);
  }

  void hold_auction(double step, int64_t& bids_left) {
    std::vector<int32_t> holder(size_, kNone);
    std::vector<int32_t> bidders(size_);
    std::iota(bidders.rbegin(), bidders.rend(), 0);
    for (; !bidders.empty() && bids_left > 0; --bids_left) {
      const int32_t row = bidders.back();
      bidders.pop_back();
      const Bid bid = best_bid(row);
      price_[bid.column] += bid.margin + step;
      if (holder[bid.column] != kNone) bidders.push_back(holder[bid.column]);
      holder[bid.column] = row;
    }
  }

  // Rows whose best column no row before them has.
  void assign_uncontested() {
    for (int32_t row = 0; row < size_; ++row)
      if (const Bid bid = best_bid(row); row_of_[bid.column] == kNone) assign(row, bid.column);
  }

  // Gives `start` a column: along the path that loses least over columns already given, whose rows move on by one.
  // The price of a column rises by as much as it was nearer than the free column at the end: then all rows have one of
  // their best columns again.
  void augment(int32_t start) {
    std::ranges::fill(distance_, kInfinity);
    std::iota(unpassed_.begin(), unpassed_.end(), 0);
    int64_t count = size_;
    int32_t row = start, column = kNone;
    double length = best_bid(start).profit;  // in terms of profit - distance
    while (true) {
      const int64_t nearest = reach_from(row, length, count);
      column = unpassed_[nearest];
      std::swap(unpassed_[nearest], unpassed_[--count]);
      if (row_of_[column] == kNone) break;
      row = row_of_[column];
      length = distance_[column] + value_(row, column) - price_[column];
    }
    for (int64_t k = count; k < size_; ++k) price_[unpassed_[k]] += distance_[column] - distance_[unpassed_[k]];
    do {  // back to the start
      row = reached_from_[column];
      const int32_t freed = column_of_[row];
      assign(row, column);
      column = freed;
    } while (row != start);
  }

  // Shortens the distances of the first `count` columns of unpassed_ by the paths that lead on from `row`; the index
  // of the nearest there. A path over a column loses what the row would profit less than by its best column.
  int64_t reach_from(int32_t row, double length, int64_t count) {
    const double* values = value_.row(row).data();
    double nearest = kInfinity;
    int64_t found = 0;
    for (int64_t k = 0; k < count; ++k) {
      const int32_t column = unpassed_[k];
      const double reached = length - (values[column] - price_[column]);
      if (reached < distance_[column]) {
        distance_[column] = reached;
        reached_from_[column] = row;
      }
      if (distance_[column] < nearest) {
        nearest = distance_[column];
        found = k;
      }
    }
    return found;
  }

  MatrixView<const double> value_;
  int64_t size_;
  std::vector<double> price_;
  std::vector<int32_t> column_of_, row_of_;
  std::vector<double> distance_;       // loss of the best path from the row that looks for a column
  std::vector<int32_t> reached_from_;  // the row before, on that path
  std::vector<int32_t> unpassed_;      // columns; those the path has passed stand at the end
};

}  // namespace

std::vector<int32_t> maximal_assignment(MatrixView<const double> value) { return AssignmentSolver(value).solve(); }

}  // namespace esparse
