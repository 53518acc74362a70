#include "kernels/cuda/shared_library.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <cstring>

namespace esparse::cuda {
namespace fs = std::filesystem;
namespace {

std::string environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr ? "" : value;
}

std::vector<fs::path> matches(const fs::path& pattern) {
  glob_t found{};
  std::vector<fs::path> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  return paths;
}

// The folders above those of the PATH: "/usr" for "/usr/bin".
std::vector<fs::path> path_prefixes() {
  std::vector<fs::path> prefixes;
  std::string_view rest = "";
  const std::string path = environment("PATH");
  rest = path;
  while (!rest.empty()) {
    const fs::path folder(rest.substr(0, rest.find(':')));
    rest.remove_prefix(std::min(rest.size(), folder.native().size() + 1));
    if (folder.is_absolute()) prefixes.push_back(folder.parent_path());
  }
  return prefixes;
}

}  // namespace

std::vector<fs::path> shared_library_candidates(const SharedLibraryName& name) {
  std::vector<fs::path> folders;
  std::error_code error;
  if (const fs::path program = fs::read_symlink("/proc/self/exe", error); !error)
    for (const char* folder : {".", "lib", "../lib"}) folders.push_back(program.parent_path() / folder);
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string home = environment(variable); !home.empty())
      for (const char* folder : {"lib64", "lib"}) folders.push_back(fs::path(home) / folder);
  for (const char* folder : {"/usr/local/cuda/lib64", "/usr/local/cuda/lib"}) folders.emplace_back(folder);
  const fs::path home = environment("HOME");
  if (home.is_absolute()) folders.push_back(home / ".cache/esparse/cuda/lib");
  std::vector<fs::path> prefixes = path_prefixes();
  if (home.is_absolute()) prefixes.push_back(home / ".local");
  for (const fs::path& prefix : prefixes)
    for (const std::string_view wheel : name.wheel_folders)
      for (const char* python : {"lib/python3*/site-packages", "lib/python3*/dist-packages"})
        for (const fs::path& folder : matches(prefix / python / wheel)) folders.push_back(folder);
  std::vector<fs::path> files;
  for (const fs::path& folder : folders) files.push_back(folder / name.file);
  return files;
}

Result<SharedLibrary> SharedLibrary::open(const SharedLibraryName& name) {
  std::string problem;
  const auto attempt = [&](const std::string& file) {
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) problem = dlerror();
    return handle;
  };
  if (const std::string chosen = environment(name.variable); !chosen.empty()) {
    if (void* handle = attempt(chosen)) return SharedLibrary(handle, chosen);
    return unsupported("{}: {}: {}", name.product, name.variable, problem);
  }
  if (void* handle = attempt(std::string(name.file))) return SharedLibrary(handle, std::string(name.file));
  std::error_code error;
  for (const fs::path& file : shared_library_candidates(name))
    if (fs::exists(file, error))
      if (void* handle = attempt(file)) return SharedLibrary(handle, file);
  return unsupported("{}: {} not found ({}); install CUDA 13 or the Python package {}, or name the file in {}",
                     name.product, name.file, problem, name.package, name.variable);
}

Result<void*> SharedLibrary::find_address(const char* symbol) const {
  if (void* address = dlsym(handle_, symbol)) return address;
  return unsupported("{}: has no {}: another version was expected", path_, symbol);
}

}  // namespace esparse::cuda
