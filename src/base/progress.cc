#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace esparse {
namespace {
constexpr int kBarWidth = 28;  // characters; label, bar, percentage and time fit in 80 columns
constexpr double kQuietSeconds = 0.5;
constexpr double kRedrawSeconds = 0.1;
}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds) + 0.5);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)),
      total_(std::max<int64_t>(total, 1)),
      visible_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void Progress::advance(int64_t steps, const std::string& note) {
  done_ = std::min(done_ + steps, total_);
  if (!visible_) return;
  const auto now = Clock::now();
  const std::chrono::duration<double> since_start = now - start_, since_draw = now - last_draw_;
  if (since_start.count() < kQuietSeconds || since_draw.count() < kRedrawSeconds) return;
  last_draw_ = now;
  draw(note);
}

void Progress::draw(const std::string& note) {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double fraction = static_cast<double>(done_) / static_cast<double>(total_);
  const int filled = static_cast<int>(fraction * kBarWidth);
  const std::string left = fraction > 0 ? format_duration(elapsed * (1 - fraction) / fraction) : "?";
  const std::string line = fmt::format("\r{} [{}{}] {:3.0f} %  {} left  {}\x1b[K", label_, std::string(filled, '#'),
                                       std::string(kBarWidth - filled, '.'), fraction * 100, left, note);
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace esparse
