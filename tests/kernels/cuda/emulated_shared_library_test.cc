#include "kernels/cuda/shared_library.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse::cuda {
namespace {

SharedLibraryName name_of(std::string_view file) {
  return {"cuExample", file, "ESPARSE_CUEXAMPLE", "nvidia-example", {"nvidia/cu13/lib"}};
}

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { setenv(name_, old_.c_str(), 1); }

 private:
  const char* name_;
  std::string old_;
};

TEST(SharedLibrary, FindsSymbolsAndNamesThoseThatLack) {
  const auto library = SharedLibrary::open(name_of("libm.so.6"));
  ASSERT_OK(library);
  double (*cosine)(double) = nullptr;
  ASSERT_OK(library->find("cos", cosine));
  EXPECT_EQ(cosine(0), 1);
  EXPECT_FAILURE(library->find("esparse_no_such_function", cosine), StatusKind::unsupported,
                 "esparse_no_such_function");
}

TEST(SharedLibrary, SaysWhatIsMissingAndHowToGetIt) {
  const auto library = SharedLibrary::open(name_of("libcuexample.so.13"));
  for (const char* part : {"cuExample", "libcuexample.so.13", "nvidia-example", "ESPARSE_CUEXAMPLE"})
    EXPECT_FAILURE(library, StatusKind::unsupported, part);
  const Variable chosen("ESPARSE_CUEXAMPLE", "/nowhere/libcuexample.so");
  EXPECT_FAILURE(SharedLibrary::open(name_of("libm.so.6")), StatusKind::unsupported, "/nowhere/libcuexample.so");
}

TEST(SharedLibrary, LooksIntoThePackagesOfThePythonsOnThePath) {
  const TempDir directory;
  const auto folder = directory.path() / "lib/python3.12/site-packages/nvidia/cu13/lib";
  std::filesystem::create_directories(folder);
  const Variable path("PATH", "/usr/bin:" + (directory.path() / "bin").string());
  const auto candidates = shared_library_candidates(name_of("libcuexample.so.13"));
  EXPECT_NE(std::find(candidates.begin(), candidates.end(), folder / "libcuexample.so.13"), candidates.end());
}

}  // namespace
}  // namespace esparse::cuda
