// What the kernel says of the processor: its name, its caches, and how many cores this process may really use.
#include "base/cpu.h"

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

// The value of `key` in the first processor's part of /proc/cpuinfo ("key\t: value"), or nothing.
std::string cpuinfo_value(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || line.find_first_not_of(" \t", key.size()) != colon || colon == std::string::npos)
      continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

}  // namespace

std::string cpu_model_name() {
  for (const char* key : {"model name", "CPU part"})  // x86, ARM
    if (std::string value = cpuinfo_value(key); !value.empty()) return value;
  return "unknown";
}

int64_t last_level_cache_bytes() {
  constexpr int64_t kUsual = 32 << 20;
  int64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    const std::string size =
        first_line("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");  // "32768K"
    int64_t kib = 0;
    if (std::sscanf(size.c_str(), "%ldK", &kib) == 1) largest = std::max(largest, kib << 10);
  }
  return largest > 0 ? largest : kUsual;
}

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
