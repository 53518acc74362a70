// Runs the esparse binary as a user would: a command line in a working directory, and what came of it.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace esparse {

struct RunOptions {
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to the caller's
  std::optional<rlim_t> max_file_bytes = {};                          // a write beyond it fails, like a full disk
  std::string stdout_path = {};                                       // instead of capturing standard output
  bool as_nobody = false;                                             // give up root's right to read everything
  bool traced = false;                                                // stop at the start, for TracedRun
};

struct Outcome {
  int exit_code = -1;  // -1: killed by `signal`
  int signal = 0;
  std::string out, err;
};

inline constexpr unsigned kRunSeconds = 120;  // a hang ends as SIGALRM, which no test expects
inline constexpr int kCannotStart = 127;
inline constexpr uid_t kNobody = 65534;

[[noreturn]] inline void exec_esparse(const std::filesystem::path& directory, const std::vector<std::string>& args,
                                      const RunOptions& options, const int (&out)[2], const int (&err)[2]) {
  const int target = options.stdout_path.empty() ? out[1] : ::open(options.stdout_path.c_str(), O_WRONLY);
  bool ready = dup2(target, STDOUT_FILENO) >= 0 && dup2(err[1], STDERR_FILENO) >= 0 && chdir(directory.c_str()) == 0;
  for (const int descriptor : {out[0], out[1], err[0], err[1]}) ::close(descriptor);
  for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
  if (options.max_file_bytes) {
    const rlimit limit{*options.max_file_bytes, *options.max_file_bytes};
    ready = ready && setrlimit(RLIMIT_FSIZE, &limit) == 0;
  }
  if (options.as_nobody) ready = ready && setgid(kNobody) == 0 && setuid(kNobody) == 0;
  if (options.traced) ready = ready && ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0;
  alarm(kRunSeconds);
  std::vector<char*> argv = {const_cast<char*>(ESPARSE_BINARY)};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  if (ready) execv(ESPARSE_BINARY, argv.data());
  _exit(kCannotStart);
}

// Both pipes at once: a child that fills one while the other is read would wait for ever.
inline void read_both(int out, int err, Outcome& outcome) {
  pollfd ends[] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  std::string* targets[] = {&outcome.out, &outcome.err};
  for (int open_ends = 2; open_ends > 0;) {
    if (poll(ends, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t count = read(ends[i].fd, buffer, sizeof(buffer));
      if (count > 0) {
        targets[i]->append(buffer, static_cast<size_t>(count));
      } else {
        ends[i].fd = -1;  // poll() passes over it
        --open_ends;
      }
    }
  }
}

// A process that runs; finish() must be called.
struct Running {
  pid_t pid = -1;
  int out = -1, err = -1;  // read ends of its pipes

  Outcome finish() const {
    Outcome outcome;
    if (pid > 0) read_both(out, err, outcome);
    ::close(out);
    ::close(err);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
      ADD_FAILURE() << "cannot run " << ESPARSE_BINARY;
      return outcome;
    }
    if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
    return outcome;
  }
};

inline Running start_esparse(const std::filesystem::path& directory, const std::vector<std::string>& args,
                             const RunOptions& options = {}) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "cannot make a pipe";
    return {};
  }
  const pid_t child = fork();
  if (child == 0) exec_esparse(directory, args, options, out, err);
  ::close(out[1]);
  ::close(err[1]);
  return {child, out[0], err[0]};
}

inline Outcome run_esparse(const std::filesystem::path& directory, const std::vector<std::string>& args,
                           const RunOptions& options = {}) {
  return start_esparse(directory, args, options).finish();
}

inline std::vector<std::string> split_words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// A line without quoting, split at spaces, on one thread unless it says otherwise.
inline std::vector<std::string> line_args(const std::string& line) {
  std::vector<std::string> args = split_words(line);
  if (args.empty() || args[0] == "recipes") return args;  // has no threads
  if (std::find(args.begin(), args.end(), "--threads") == args.end()) args.insert(args.end(), {"--threads", "1"});
  return args;
}

inline Outcome run_line(const std::filesystem::path& directory, const std::string& line,
                        const RunOptions& options = {}) {
  return run_esparse(directory, line_args(line), options);
}

inline void expect_success(const Outcome& outcome) {
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
}

// prune without --json says what it will take before it begins.
inline void expect_success_with_estimate(const Outcome& outcome) {
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err.rfind("Estimate: ", 0), 0u) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
}

// Exit 1, nothing on standard output, and one line on standard error that holds every one of `texts`.
inline void expect_refused(const Outcome& outcome, const std::vector<std::string>& texts) {
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("esparse: ", 0), 0u) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << "expected one line, got: " << outcome.err;
  for (const std::string& text : texts)
    EXPECT_NE(outcome.err.find(text), std::string::npos) << "'" << text << "' is not in: " << outcome.err;
}

// Exit 2, nothing on standard output; on standard error what is wrong and where help is.
inline void expect_usage_error(const Outcome& outcome, const std::vector<std::string>& texts) {
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("esparse: ", 0), 0u) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
  EXPECT_NE(outcome.err.find("--help"), std::string::npos) << outcome.err;
  for (const std::string& text : texts)
    EXPECT_NE(outcome.err.find(text), std::string::npos) << "'" << text << "' is not in: " << outcome.err;
}

}  // namespace esparse
