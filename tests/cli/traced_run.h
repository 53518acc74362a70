// Runs esparse step by step: it can be stopped, and killed, exactly where it is about to change files.
#pragma once

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <csignal>
#include <functional>
#include <string>

#include "cli/run_binary.h"

namespace esparse {

// Only the main thread is watched; it does all work with files.
class TracedRun {
 public:
  TracedRun(const std::filesystem::path& directory, const std::string& line, RunOptions options = {}) {
    options.traced = true;
    options.environment.emplace_back("ASAN_OPTIONS", "detect_leaks=0");  // the leak check wants to trace as well
    running_ = start_esparse(directory, line_args(line), options);
    int status = 0;
    if (waitpid(running_.pid, &status, WUNTRACED) != running_.pid || !WIFSTOPPED(status)) return;
    constexpr int64_t kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
    stopped_ = permitted_ = ptrace(PTRACE_SETOPTIONS, running_.pid, nullptr, kOptions) == 0;
  }
  TracedRun(const TracedRun&) = delete;
  TracedRun& operator=(const TracedRun&) = delete;
  ~TracedRun() {
    if (!permitted_ || ended_) return;
    ::kill(running_.pid, SIGKILL);
    running_.finish();
  }

  // False where tracing is forbidden: skip the test.
  bool permitted() const { return permitted_; }

  // Lets it run until it is in front of a change and `wanted` says so (asked once per change). False: it has ended.
  bool run_until(const std::function<bool()>& wanted) {
    for (int signal = 0; stopped_;) {
      int status = 0;
      if (ptrace(PTRACE_SYSCALL, running_.pid, nullptr, signal) != 0 ||
          waitpid(running_.pid, &status, 0) != running_.pid || !WIFSTOPPED(status)) {
        note_end(status);
        return false;
      }
      const bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
      signal = at_call || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
      if (at_call && is_before_change() && wanted()) return true;
    }
    return false;
  }

  // At the stop of run_until(): what would have been next never happens.
  Outcome end_with(int signal) {
    if (signal == SIGKILL) {
      ::kill(running_.pid, signal);
    } else {
      ptrace(PTRACE_DETACH, running_.pid, nullptr, signal);
    }
    return finish_now();
  }
  Outcome finish() {
    if (!stopped_) return outcome_;
    ptrace(PTRACE_DETACH, running_.pid, nullptr, 0);
    return finish_now();
  }

 private:
  // About to create, flush, reserve, list or remove. Calls that every architecture has; a rename stands between two of
  // these, and what is written counts from the flush on.
  bool is_before_change() const {
    __ptrace_syscall_info info{};
    if (ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), running_.pid, sizeof(info), &info) <= 0)
      return false;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
    switch (info.entry.nr) {
      case SYS_fsync:
      case SYS_fallocate:
      case SYS_unlinkat:
        return true;
      case SYS_openat:
        return (info.entry.args[2] & (O_CREAT | O_DIRECTORY)) != 0;
      default:
        return false;
    }
  }
  Outcome finish_now() {
    stopped_ = false;
    ended_ = true;
    return outcome_ = running_.finish();
  }
  void note_end(int status) {
    stopped_ = false;
    ended_ = true;
    read_both(running_.out, running_.err, outcome_);
    ::close(running_.out);
    ::close(running_.err);
    if (WIFEXITED(status)) outcome_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) outcome_.signal = WTERMSIG(status);
  }

  Running running_;
  Outcome outcome_;
  bool permitted_ = false, stopped_ = false, ended_ = false;
};

}  // namespace esparse
