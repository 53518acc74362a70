#include "io/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "io/atomic_file.h"
#include "io/output_path.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const { return value_; }

 private:
  int value_;
};

// Reads to the end, not to the size: a pipe has none. `expected_bytes` spares regular files the growing.
Result<std::string> read_to_end(int descriptor, const fs::path& path, int64_t expected_bytes, int64_t max_bytes) {
  constexpr size_t kChunkBytes = size_t{1} << 16;
  std::string contents(static_cast<size_t>(expected_bytes) + 1, '\0');  // one more byte sees the end at once
  size_t filled = 0;
  while (true) {
    if (filled == contents.size()) contents.resize(contents.size() + std::max(contents.size() / 2, kChunkBytes));
    const ssize_t count = ::read(descriptor, contents.data() + filled, contents.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error("{}: cannot read: {}", path.string(), std::strerror(errno));
    if (count == 0) break;
    filled += static_cast<size_t>(count);
    if (static_cast<int64_t>(filled) > max_bytes) {
      return invalid_argument("{}: too large: expected at most {} bytes, got more", path.string(), max_bytes);
    }
  }
  contents.resize(filled);
  return contents;
}

bool is_weight_file(const std::string& name) {
  static constexpr std::array<std::string_view, 9> kEndings = {".safetensors", ".index.json", ".bin", ".pt",     ".pth",
                                                               ".gguf",        ".onnx",       ".h5",  ".msgpack"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

Status copy_one(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::skip_existing, error);
  // A read-only source must not make a read-only copy.
  if (!error) fs::permissions(to, fs::perms::owner_write, fs::perm_options::add, error);
  if (error) return io_error("{}: cannot copy to {}: {}", from.string(), to.string(), error.message());
  return {};
}

}  // namespace

Result<std::string> read_file(const fs::path& path, int64_t max_bytes) {
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) {
    const StatusKind kind = errno == ENOENT ? StatusKind::not_found : StatusKind::io;
    return make_status(kind, "{}: cannot open: {}", path.string(), std::strerror(errno));
  }
  struct stat info {};
  if (fstat(descriptor.get(), &info) != 0) {
    return io_error("{}: cannot stat: {}", path.string(), std::strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) return io_error("{}: expected a file, got a directory", path.string());
  const int64_t size = S_ISREG(info.st_mode) ? static_cast<int64_t>(info.st_size) : 0;
  if (size > max_bytes) {
    return invalid_argument("{}: too large: expected at most {} bytes, got {}", path.string(), max_bytes, size);
  }
  try {
    return read_to_end(descriptor.get(), path, size, max_bytes);
  } catch (const std::bad_alloc&) {
    return make_status(StatusKind::out_of_memory, "{}: not enough memory for its {} bytes", path.string(), size);
  }
}

fs::path cache_file(std::string_view name) {
  const auto directory = [](const char* variable) {
    const char* value = std::getenv(variable);
    return fs::path(value == nullptr ? "" : value);
  };
  if (const fs::path cache = directory("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "esparse" / name;
  if (const fs::path home = directory("HOME"); home.is_absolute()) return home / ".cache/esparse" / name;
  return {};
}

Status write_file_atomically(const fs::path& path, std::string_view contents) {
  ESPARSE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  ESPARSE_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(contents))));
  return file.commit();
}

Result<OutputDirectory> OutputDirectory::create(const fs::path& path, bool force) {
  OutputDirectory output;
  output.force_ = force;
  ESPARSE_ASSIGN_OR_RETURN(output.final_, output_path(path, force));
  for (int attempt = 0; attempt < kSiblingAttempts; ++attempt) {
    const fs::path temporary = sibling_name(output.final_, "tmp", attempt);
    if (mkdir(temporary.c_str(), 0777) == 0) {
      output.temporary_ = temporary;
      return output;
    }
    if (errno != EEXIST) break;
  }
  return io_error("{}: cannot create a directory there: {}", path.string(), std::strerror(errno));
}

OutputDirectory::OutputDirectory(OutputDirectory&& other) noexcept
    : final_(std::move(other.final_)), temporary_(std::exchange(other.temporary_, {})), force_(other.force_) {}

OutputDirectory::~OutputDirectory() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

Status OutputDirectory::commit() {
  if (temporary_.empty()) return internal_error("{}: committed twice", final_.string());
  ESPARSE_RETURN_IF_ERROR(move_to_output(temporary_, final_, force_));
  temporary_.clear();
  return {};
}

Status copy_side_files(const fs::path& source, const fs::path& target) {
  std::error_code error;
  fs::directory_iterator entry(source, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;  // a dangling link is not a regular file
    if (name.starts_with('.') || is_weight_file(name) || !entry->is_regular_file(ignored)) continue;
    ESPARSE_RETURN_IF_ERROR(copy_one(entry->path(), target / name));
  }
  if (error) return io_error("{}: cannot list the directory: {}", source.string(), error.message());
  return {};
}

}  // namespace esparse
