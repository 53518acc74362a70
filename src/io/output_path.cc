#include "io/output_path.h"

#include <algorithm>
#include <string>

#include "io/atomic_file.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

// True when `directory` is the working directory or holds it.
bool holds_working_directory(const fs::path& directory) {
  std::error_code error;
  const fs::path inner = fs::current_path(error);
  const fs::path outer = fs::canonical(directory, error);
  if (error) return false;
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

Status check_replaceable(const fs::path& path, fs::file_type type, bool force) {
  if (!force) return invalid_argument("{}: already exists (use --force to replace it)", path.string());
  if (type != fs::file_type::directory) {
    return invalid_argument("{}: expected a directory to replace, got something else", path.string());
  }
  if (holds_working_directory(path)) {
    return invalid_argument("{}: cannot replace the directory that the program runs in", path.string());
  }
  return {};
}

}  // namespace

Result<fs::path> output_path(const fs::path& path, bool force) {
  fs::path final_path = path.lexically_normal();
  if (!final_path.has_filename()) final_path = final_path.parent_path();  // "out/" means "out"
  const std::string name = final_path.filename().string();
  if (name.empty() || name == "." || name == "..") {
    return invalid_argument("'{}': expected the name of a directory to create", path.string());
  }
  const fs::path parent = parent_directory(final_path);
  std::error_code error;
  const fs::file_status parent_status = fs::status(parent, error);
  if (parent_status.type() == fs::file_type::not_found) {
    return not_found("{}: the parent directory {} does not exist", path.string(), parent.string());
  }
  if (!fs::is_directory(parent_status)) {
    return io_error("{}: the parent {} is not a directory that can be used", path.string(), parent.string());
  }
  const fs::file_type type = fs::symlink_status(final_path, error).type();
  if (type != fs::file_type::not_found) ESPARSE_RETURN_IF_ERROR(check_replaceable(path, type, force));
  return final_path;
}

Status move_to_output(const fs::path& filled, const fs::path& path, bool force) {
  sync_directory(filled);
  std::error_code error;
  fs::path old;  // where the directory that is replaced waits for its removal
  const fs::file_type type = fs::symlink_status(path, error).type();
  if (type != fs::file_type::not_found) {
    ESPARSE_RETURN_IF_ERROR(check_replaceable(path, type, force));
    for (int attempt = 0; attempt < kSiblingAttempts; ++attempt) {
      old = sibling_name(path, "old", attempt);
      if (fs::symlink_status(old, error).type() == fs::file_type::not_found) break;
    }
    fs::rename(path, old, error);
    if (error) return io_error("{}: cannot move the old directory aside: {}", path.string(), error.message());
  }
  fs::rename(filled, path, error);
  if (error) {
    std::error_code ignored;
    if (!old.empty()) fs::rename(old, path, ignored);
    return io_error("{}: cannot rename the finished directory: {}", path.string(), error.message());
  }
  sync_directory(parent_directory(path));
  if (!old.empty()) fs::remove_all(old, error);
  if (error) {
    return io_error("{}: complete, but the old directory {} cannot be removed: {}", path.string(), old.string(),
                    error.message());
  }
  return {};
}

}  // namespace esparse
