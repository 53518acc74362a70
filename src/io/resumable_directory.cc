#include "io/resumable_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "io/output_path.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

fs::path hidden_sibling(const fs::path& path, const char* ending) {
  return path.parent_path() / fmt::format(".{}.{}", path.filename().string(), ending);
}

// A process that ends removes its lock file; one that opened it before that holds a lock on a file that nobody else
// can find any more.
bool is_still_there(int descriptor, const fs::path& path) {
  struct stat opened {
  }, named{};
  return fstat(descriptor, &opened) == 0 && lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

bool holds_more_than(const fs::path& directory, int entries) {
  std::error_code error;
  return std::distance(fs::directory_iterator(directory, error), fs::directory_iterator()) > entries;
}

}  // namespace

Status ResumableDirectory::lock() {
  while (true) {
    const int descriptor = ::open(lock_path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor < 0) {
      return io_error("{}: cannot open {} beside it: {}", final_.string(), lock_path_.filename().string(),
                      std::strerror(errno));
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      ::close(descriptor);
      if (reason == EINTR) continue;
      if (reason != EWOULDBLOCK) return io_error("{}: cannot lock: {}", lock_path_.string(), std::strerror(reason));
      return invalid_argument("{}: another process is working on it (it has locked {})", final_.string(),
                              lock_path_.string());
    }
    if (is_still_there(descriptor, lock_path_)) {
      lock_descriptor_ = descriptor;
      return {};
    }
    ::close(descriptor);
  }
}

Status ResumableDirectory::open_working() {
  if (mkdir(working_.c_str(), 0777) != 0) ESPARSE_RETURN_IF_ERROR(check_working(errno));
  // Without `output` a run ended behind its commit or before it could do anything.
  if (mkdir(path().c_str(), 0777) == 0) return clear();
  if (errno != EEXIST) return io_error("{}: cannot create the directory: {}", path().string(), std::strerror(errno));
  std::error_code error;
  has_leftovers_ = !fs::is_empty(path(), error) || holds_more_than(working_, 1);
  if (error) return io_error("{}: cannot list the directory: {}", path().string(), error.message());
  return {};
}

// mkdir() has failed: is it ours from an earlier run?
Status ResumableDirectory::check_working(int reason) const {
  if (reason != EEXIST) {
    return io_error("{}: cannot create the directory {}: {}", final_.string(), working_.string(),
                    std::strerror(reason));
  }
  struct stat info {};
  if (lstat(working_.c_str(), &info) != 0) {
    return io_error("{}: cannot stat: {}", working_.string(), std::strerror(errno));
  }
  if (!S_ISDIR(info.st_mode)) {
    return invalid_argument("{}: expected the directory of an interrupted run, got something else", working_.string());
  }
  // In a directory that all may write to, somebody could have laid it out for us.
  if (info.st_uid != geteuid()) {
    return invalid_argument("{}: expected a directory of this user, got one of user id {}", working_.string(),
                            info.st_uid);
  }
  return {};
}

Result<ResumableDirectory> ResumableDirectory::open(const fs::path& path, bool force) {
  ResumableDirectory output;
  output.force_ = force;
  ESPARSE_ASSIGN_OR_RETURN(output.final_, output_path(path, force));
  output.lock_path_ = hidden_sibling(output.final_, "esparse-lock");
  ESPARSE_RETURN_IF_ERROR(output.lock());
  output.working_ = hidden_sibling(output.final_, "esparse-partial");
  ESPARSE_RETURN_IF_ERROR(output.open_working());
  return output;
}

ResumableDirectory::ResumableDirectory(ResumableDirectory&& other) noexcept
    : final_(std::move(other.final_)),
      working_(std::exchange(other.working_, {})),
      lock_path_(std::move(other.lock_path_)),
      lock_descriptor_(std::exchange(other.lock_descriptor_, -1)),
      force_(other.force_),
      has_leftovers_(other.has_leftovers_) {}

ResumableDirectory::~ResumableDirectory() {
  if (!working_.empty() && !holds_more_than(working_, 1)) {  // removed only while they are empty
    ::rmdir(path().c_str());
    ::rmdir(working_.c_str());
  }
  if (lock_descriptor_ < 0) return;
  ::unlink(lock_path_.c_str());
  ::close(lock_descriptor_);
}

Status ResumableDirectory::clear() {
  has_leftovers_ = false;
  std::error_code error;
  fs::directory_iterator entry(working_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code failure;
    fs::remove_all(entry->path(), failure);
    if (failure) return io_error("{}: cannot remove: {}", entry->path().string(), failure.message());
  }
  if (error) return io_error("{}: cannot list the directory: {}", working_.string(), error.message());
  if (mkdir(path().c_str(), 0777) != 0)
    return io_error("{}: cannot create the directory: {}", path().string(), std::strerror(errno));
  return {};
}

Status ResumableDirectory::commit() {
  if (working_.empty()) return internal_error("{}: committed twice", final_.string());
  const Status status = move_to_output(path(), final_, force_);
  std::error_code error;
  if (fs::exists(path(), error)) return status;  // nothing is lost
  fs::remove_all(working_, error);
  if (error && status.ok()) {
    return io_error("{}: complete, but the working directory {} cannot be removed: {}", final_.string(),
                    working_.string(), error.message());
  }
  working_.clear();
  return status;
}

}  // namespace esparse
