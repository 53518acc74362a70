#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace esparse {
namespace fs = std::filesystem;

fs::path parent_directory(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

fs::path sibling_name(const fs::path& path, const char* tag, int attempt) {
  std::string name = fmt::format(".{}.{}-{}", path.filename().string(), tag, getpid());
  if (attempt > 0) name += fmt::format("-{}", attempt);
  return path.parent_path() / name;
}

void sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  (void)fsync(descriptor);
  ::close(descriptor);
}

Result<AtomicFile> AtomicFile::create(const fs::path& path) {
  struct stat info {};
  // Renaming over a device, a pipe or a directory would destroy it or fail only after all the work.
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return invalid_argument("{}: cannot write: expected a regular file or nothing there", path.string());
  }
  const fs::path parent = parent_directory(path);
  if (stat(parent.c_str(), &info) != 0 && errno == ENOENT) {
    return not_found("{}: cannot write: the directory {} does not exist", path.string(), parent.string());
  }
  AtomicFile file;
  file.final_ = path;
  for (int attempt = 0; attempt < kSiblingAttempts; ++attempt) {
    const fs::path temporary = sibling_name(path, "tmp", attempt);
    file.descriptor_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.descriptor_ >= 0) {
      file.temporary_ = temporary;
      return file;
    }
    if (errno != EEXIST) break;
  }
  return io_error("{}: cannot create a file there: {}", path.string(), std::strerror(errno));
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : final_(std::move(other.final_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const char* reason = written < 0 ? std::strerror(errno) : "nothing was accepted";
      return io_error("{}: cannot write: {}", final_.string(), reason);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status AtomicFile::commit() {
  // Some file systems report a full disk only here.
  if (fsync(descriptor_) != 0) return io_error("{}: cannot flush: {}", final_.string(), std::strerror(errno));
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    return io_error("{}: cannot close: {}", final_.string(), std::strerror(errno));
  }
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) {
    return io_error("{}: cannot rename the finished file: {}", final_.string(), std::strerror(errno));
  }
  temporary_.clear();
  sync_directory(parent_directory(final_));
  return {};
}

}  // namespace esparse
