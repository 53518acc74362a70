// Counts the cores that this process may really use.
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "base/parallel.h"

namespace esparse {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// cgroup v2 "quota period" in cpu.max, e.g. "200000 100000" for two cores; 0 when unlimited or unknown.
int cgroup_core_limit() {
  const std::string line = first_line("/sys/fs/cgroup/cpu.max");
  long quota = 0, period = 0;
  if (std::sscanf(line.c_str(), "%ld %ld", &quota, &period) != 2 || quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::max(1L, (quota + period - 1) / period));
}

}  // namespace

int physical_core_count() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  std::set<std::string> cores;  // one entry per distinct sibling list
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::string siblings =
        first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  int count = std::max(1, static_cast<int>(cores.size()));
  if (const int limit = cgroup_core_limit(); limit > 0) count = std::min(count, limit);
  return count;
}

}  // namespace esparse
