#include "base/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace esparse {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: a FIFO of that name must not make us wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const StatusKind kind = errno == ENOENT ? StatusKind::not_found : StatusKind::io;
    return make_status(kind, "{}: cannot open: {}", path.string(), std::strerror(errno));
  }
  struct stat info {};
  MappedFile file;
  Status status;
  if (fstat(descriptor, &info) != 0) {
    status = io_error("{}: cannot stat: {}", path.string(), std::strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = io_error("{}: expected a regular file", path.string());
  } else if (info.st_size > 0) {
    const auto size = static_cast<size_t>(info.st_size);
    void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) {
      status = io_error("{}: cannot map {} bytes: {}", path.string(), size, std::strerror(errno));
    } else {
      file.data_ = static_cast<const std::byte*>(data);
      file.size_ = size;
    }
  }
  ::close(descriptor);
  if (!status.ok()) return status;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release_pages(std::span<const std::byte> range) const {
  // Integers, since pointers into different objects have no order. The last page of a file may be a partial one: the
  // mapping covers it whole.
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto mapping = reinterpret_cast<uintptr_t>(data_), first = reinterpret_cast<uintptr_t>(range.data());
  const uintptr_t begin = (std::max(first, mapping) + page - 1) / page * page;
  const uintptr_t last = std::min(first + range.size(), mapping + size_);
  const uintptr_t end = last == mapping + size_ ? (last + page - 1) / page * page : last / page * page;
  // Failure costs memory, not correctness: the pages hold what the file holds in either case.
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace esparse
