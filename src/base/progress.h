// One line on standard error that shows how far a long job is and the time left; silent when that is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace esparse {

class Progress {
 public:
  // `total` steps in all. Nothing is drawn in the first half second, so short jobs stay quiet.
  Progress(std::string label, int64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // wipes the line

  // Not thread-safe: call from the thread that drives the job. `note` is shown behind the bar.
  void advance(int64_t steps = 1, const std::string& note = "");

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& note);

  std::string label_;
  int64_t total_;
  int64_t done_ = 0;
  bool visible_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_draw_;
};

// "4s", "3m07s", "2h05m".
std::string format_duration(double seconds);

}  // namespace esparse
