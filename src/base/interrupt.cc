#include "base/interrupt.h"

#include <atomic>
#include <csignal>

namespace esparse {
namespace {

std::atomic<bool> asked = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // so that a signal handler may set it

void on_signal(int signal) {
  asked = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

CatchInterrupt::CatchInterrupt() {
  asked = false;
  for (const int signal : {SIGINT, SIGTERM})
    if (std::signal(signal, on_signal) == SIG_IGN) std::signal(signal, SIG_IGN);  // as nohup and '&' of a script want
}

CatchInterrupt::~CatchInterrupt() {
  asked = false;
  for (const int signal : {SIGINT, SIGTERM})
    if (std::signal(signal, SIG_DFL) == SIG_IGN) std::signal(signal, SIG_IGN);
}

bool interrupted() { return asked; }

}  // namespace esparse
