#include "io/positioned_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace esparse {

Result<PositionedFile> PositionedFile::create(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return io_error("{}: cannot create: {}", path.string(), std::strerror(errno));
  return PositionedFile(path, descriptor);
}

Result<PositionedFile> PositionedFile::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not make us wait
  if (descriptor < 0) {
    const StatusKind kind = errno == ENOENT ? StatusKind::not_found : StatusKind::io;
    return make_status(kind, "{}: cannot open: {}", path.string(), std::strerror(errno));
  }
  PositionedFile file(path, descriptor);
  struct stat info {};
  if (fstat(descriptor, &info) != 0) return io_error("{}: cannot stat: {}", path.string(), std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return io_error("{}: expected a regular file", path.string());
  return file;
}

PositionedFile::PositionedFile(PositionedFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

PositionedFile::~PositionedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<int64_t> PositionedFile::size() const {
  struct stat info {};
  if (fstat(descriptor_, &info) != 0) return io_error("{}: cannot stat: {}", path_.string(), std::strerror(errno));
  return int64_t{info.st_size};
}

Status PositionedFile::reserve(int64_t bytes) {
  int failed = 0;
  do {
    failed = bytes > 0 ? ::fallocate(descriptor_, 0, 0, bytes) : 0;
  } while (failed != 0 && errno == EINTR);
  if (failed != 0 && errno == EOPNOTSUPP) failed = ::ftruncate(descriptor_, bytes);
  if (failed != 0)
    return io_error("{}: cannot make room for {} bytes: {}", path_.string(), bytes, std::strerror(errno));
  return {};
}

Status PositionedFile::read_at(int64_t offset, std::span<std::byte> target) const {
  size_t done = 0;
  while (done < target.size()) {
    const ssize_t count =
        ::pread(descriptor_, target.data() + done, target.size() - done, offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return io_error("{}: cannot read {} bytes at {}: {}", path_.string(), target.size(), offset,
                      std::strerror(errno));
    }
    if (count == 0) {
      return corruption("{}: expected {} bytes at {}, got {} (was the file cut short?)", path_.string(), target.size(),
                        offset, done);
    }
    done += static_cast<size_t>(count);
  }
  return {};
}

Status PositionedFile::write_at(int64_t offset, std::span<const std::byte> source) {
  size_t done = 0;
  while (done < source.size()) {
    const ssize_t count =
        ::pwrite(descriptor_, source.data() + done, source.size() - done, offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return io_error("{}: cannot write: expected to write {} bytes at {}, wrote {}: {}", path_.string(), source.size(),
                      offset, done, count < 0 ? std::strerror(errno) : "nothing was accepted");
    }
    done += static_cast<size_t>(count);
  }
  return {};
}

Status PositionedFile::sync() {
  if (fsync(descriptor_) != 0) return io_error("{}: cannot flush: {}", path_.string(), std::strerror(errno));
  struct stat info {};
  if (fstat(descriptor_, &info) == 0 && info.st_nlink == 0) {
    return io_error("{}: the file was removed while it was in use", path_.string());
  }
  return {};
}

}  // namespace esparse
