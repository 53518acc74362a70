#include "base/large_bytes.h"

#include <sys/mman.h>

#include "base/status.h"

namespace esparse {
namespace {

constexpr int64_t kHugePage = 2 << 20;

void* map_pages(int64_t bytes) {
  void* pages = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ESPARSE_CHECK(pages != MAP_FAILED);
  return pages;
}

void unmap(std::byte* first, int64_t bytes) {
  if (bytes > 0) munmap(first, static_cast<size_t>(bytes));
}

// Only whole huge pages are asked for: a started one would take 2 MiB of memory for its rest.
std::byte* map_huge(int64_t bytes) {
  auto* pages = static_cast<std::byte*>(map_pages(bytes + kHugePage));
  const auto address = reinterpret_cast<uintptr_t>(pages);
  const auto skip = static_cast<int64_t>((kHugePage - address % kHugePage) % kHugePage);
  const int64_t page = 4096, used = (bytes + page - 1) / page * page;
  unmap(pages, skip);
  unmap(pages + skip + used, kHugePage - skip - (used - bytes));
  madvise(pages + skip, static_cast<size_t>(bytes / kHugePage * kHugePage), MADV_HUGEPAGE);
  return pages + skip;
}

}  // namespace

LargeBytes::LargeBytes(int64_t bytes) : bytes_(bytes) {
  if (bytes > 0) data_ = bytes >= kHugePage ? map_huge(bytes) : static_cast<std::byte*>(map_pages(bytes));
}

LargeBytes::~LargeBytes() { unmap(data_, bytes_); }

}  // namespace esparse
