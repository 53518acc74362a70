// What esparse asks of cuSPARSELt, with a library in its place that does as the documentation says, on the CPU.
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "io/files.h"
#include "kernels/cuda/emulated/backend_emulated.h"
#include "kernels/cuda/sparse_cusparselt.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse::cuda {
namespace {

constexpr int64_t kOut = 32, kIn = 64;

std::vector<bf16> random_values(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<bf16> values;
  for (size_t i = 0; i < count; ++i) values.push_back(to_bf16(std::uniform_real_distribution<float>(-1, 1)(random)));
  return values;
}

class CusparseLt : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(ESPARSE_FAKE_CUSPARSELT).empty()) GTEST_SKIP() << "built without cuSPARSELt's header";
    setenv("ESPARSE_CUSPARSELT", ESPARSE_FAKE_CUSPARSELT, 1);
    setenv("ESPARSE_FAKE_LOG", (directory_ / "log").c_str(), 1);
    w_ = random_values(kOut * kIn, 1);
    for (size_t i = 0; i < w_.size(); ++i)
      if (i % 4 == i / 4 % 4 || i % 4 == (i / 4 + 1) % 4) w_[i] = bf16{0};
    open();
  }
  void TearDown() override {
    unsetenv("ESPARSE_CUSPARSELT");
    unsetenv("ESPARSE_FAKE_LOG");
  }

  // As a new process would.
  void open() {
    const Runtime& runtime = *emulated_backend().runtime;
    weight_.reset();
    library_ =
        make_cusparselt({&runtime, [&runtime] { return runtime.open(0); }, [this](Stream) { return capturing_; }});
    auto weight = library_->compress(w_.data(), kOut, kIn, Element::bf16, nullptr);
    ASSERT_OK(weight);
    weight_ = std::move(*weight);
  }
  std::filesystem::path file() const { return directory_ / "gpu-plans.json"; }
  void measure() { library_->set_search({true, file()}); }
  std::string ran() {
    const auto text = read_file(directory_ / "log");
    std::filesystem::remove(directory_ / "log");
    return text.ok() ? *text : "";
  }

  // Of rows that are wider than what they hold, checked against sums in double.
  void check_product(int64_t tokens, bool add) {
    const int64_t x_stride = kIn + 8, y_stride = kOut + 16;
    const std::vector<bf16> x = random_values(tokens * x_stride, 2), before = random_values(tokens * y_stride, 3);
    std::vector<bf16> y = before;
    ASSERT_OK(library_->multiply(*weight_, {x.data(), y.data(), tokens, x_stride, y_stride, add}, nullptr));
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t o = 0; o < y_stride; ++o) {
        double expected = add || o >= kOut ? to_f32(before[t * y_stride + o]) : 0;
        for (int64_t k = 0; o < kOut && k < kIn; ++k)
          expected += double{to_f32(x[t * x_stride + k])} * to_f32(w_[o * kIn + k]);
        ASSERT_NEAR(to_f32(y[t * y_stride + o]), expected, 1e-5 + std::abs(expected) / 256) << t << " " << o;
      }
  }

  TempDir directory_;
  bool capturing_ = false;
  std::unique_ptr<SparseLibrary> library_;
  std::unique_ptr<LibraryWeight> weight_;
  std::vector<bf16> w_;
};

TEST_F(CusparseLt, MultipliesRowMajorMatricesWithStrides) {
  for (const int64_t tokens : {8, 24})
    for (const bool add : {false, true}) check_product(tokens, add);
  EXPECT_EQ(*library_->version(), "cuSPARSELt 0.10.0");
  EXPECT_EQ(ran(), "0000");
}

TEST_F(CusparseLt, TheSearchIsKeptInMemoryAndInTheFile) {
  measure();
  check_product(8, true);
  EXPECT_EQ(ran(), "s03");
  check_product(8, true);
  EXPECT_EQ(ran(), "3");
  open();
  measure();
  check_product(8, true);
  EXPECT_EQ(ran(), "3");
  EXPECT_TRUE(library_->take_warnings().empty());
}

TEST_F(CusparseLt, DamageOfTheFileCostsASearch) {
  measure();
  check_product(8, false);
  std::string text = *read_file(file());
  const size_t place = text.find("\"03000000");
  ASSERT_NE(place, text.npos);
  text.replace(place, 3, "\"ff");  // a configuration that the library has not
  ASSERT_OK(write_file_atomically(file(), text));
  open();
  measure();
  ran();
  check_product(8, false);
  EXPECT_EQ(ran(), "s03");
}

TEST_F(CusparseLt, CapturesAreNotMeasured) {
  measure();
  capturing_ = true;
  check_product(8, false);
  EXPECT_EQ(ran(), "0");
}

TEST_F(CusparseLt, RefusalsSayWhatWasExpected) {
  const std::vector<bf16> dense = random_values(kOut * kIn, 4);
  EXPECT_FAILURE(library_->compress(dense.data(), kOut, kIn, Element::bf16, nullptr), StatusKind::invalid_argument,
                 "cuSPARSELt 0.10.0: expected a 2:4 weight, got more values in a group [32 x 64]");
  const LibraryProduct narrow{w_.data(), w_.data(), 8, kIn - 8, kOut, false};
  EXPECT_FAILURE(library_->multiply(*weight_, narrow, nullptr), StatusKind::internal,
                 "cusparseLtDenseDescriptorInit [8x64x32 bf16 strides 56 32]: an error of the library");
}

}  // namespace
}  // namespace esparse::cuda
