#include "base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

namespace esparse {
namespace {

// The field `name` of /proc/self/status, which is given in KiB; 0 when there is none.
int64_t status_field_bytes(std::string_view name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (word != name) continue;
    int64_t kibibytes = 0;
    return file >> kibibytes ? kibibytes * 1024 : 0;
  }
  return 0;
}

// A limit file holds one number, or the word "max"; 0 for no limit.
int64_t limit_bytes(const char* path) {
  std::ifstream file(path);
  int64_t limit = 0;
  return file >> limit && limit > 0 ? limit : 0;
}

}  // namespace

int64_t current_resident_bytes() { return status_field_bytes("VmRSS:"); }

int64_t peak_resident_bytes() {
  if (const int64_t peak = status_field_bytes("VmHWM:"); peak > 0) return peak;
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? int64_t{usage.ru_maxrss} * 1024 : 0;
}

int64_t physical_memory_bytes() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  int64_t bytes = pages > 0 && page_bytes > 0 ? pages * page_bytes : 0;
  // Control groups version 2 and 1. Version 1 writes "no limit" as a number near 2^63, which min() passes over.
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (const int64_t limit = limit_bytes(path); limit > 0) bytes = bytes > 0 ? std::min(bytes, limit) : limit;
  }
  return bytes;
}

}  // namespace esparse
