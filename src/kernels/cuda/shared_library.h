// NVIDIA's libraries are opened when they are first needed, so that esparse starts on machines without them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse::cuda {

struct SharedLibraryName {
  std::string_view product;                     // "cuBLASLt", for errors
  std::string_view file;                        // "libcublasLt.so.13"
  std::string_view variable;                    // environment variable that names the file, which alone is then tried
  std::string_view package;                     // Python package that carries it
  std::vector<std::string_view> wheel_folders;  // in which it stands, below site-packages: "nvidia/cu13/lib"
};

// Stays open until the program ends.
class SharedLibrary {
 public:
  // Looks where the system's loader looks, beside the program and in lib/ there, where CUDA toolkits stand, where
  // tools/install-cuda puts things, and in the packages of the Pythons on the PATH. unsupported where there is none.
  static Result<SharedLibrary> open(const SharedLibraryName& name);

  const std::string& path() const { return path_; }
  // Sets `function` to the symbol. unsupported where the library lacks it.
  template <typename Function>
  Status find(const char* symbol, Function*& function) const {
    ESPARSE_ASSIGN_OR_RETURN(void* address, find_address(symbol));
    function = reinterpret_cast<Function*>(address);
    return {};
  }

 private:
  SharedLibrary(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  Result<void*> find_address(const char* symbol) const;

  void* handle_;
  std::string path_;
};

// The files that open() tries after the system's own, in order; not all of them exist.
std::vector<std::filesystem::path> shared_library_candidates(const SharedLibraryName& name);

}  // namespace esparse::cuda
