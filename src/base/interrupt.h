// Ctrl-C during long measurements: the first one asks the work to stop and tell what it knows so far, the second ends
// the program at once.
#pragma once

namespace esparse {

// While one lives, SIGINT and SIGTERM set interrupted(). At most one at a time.
class CatchInterrupt {
 public:
  CatchInterrupt();
  ~CatchInterrupt();
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;
};

// Whether somebody asked; loops look between two pieces of work. Thread-safe.
bool interrupted();

}  // namespace esparse
