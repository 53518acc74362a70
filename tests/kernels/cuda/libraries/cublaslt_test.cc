// What esparse asks of cuBLASLt, with a library in its place that does as the documentation says, on the CPU.
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "io/files.h"
#include "kernels/cuda/emulated/backend_emulated.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse::cuda {
namespace {

class CublasLt : public testing::Test {
 protected:
  void SetUp() override {
    setenv("ESPARSE_CUBLASLT", ESPARSE_FAKE_CUBLASLT, 1);
    setenv("ESPARSE_FAKE_LOG", (directory_ / "log").c_str(), 1);
    open();
  }
  void TearDown() override {
    unsetenv("ESPARSE_CUBLASLT");
    unsetenv("ESPARSE_FAKE_LOG");
  }

  // As a new process would.
  void open() {
    const Runtime& runtime = *emulated_backend().runtime;
    library_ =
        make_cublaslt_gemm({&runtime, [&runtime] { return runtime.open(0); }, [this](Stream) { return capturing_; }});
  }
  void measure() { library_->set_search({true, file()}); }
  std::filesystem::path file() const { return directory_ / "cache/gpu-plans.json"; }
  // The numbers of the algorithms that ran since the last call.
  std::string ran() {
    const auto text = read_file(directory_ / "log");
    std::filesystem::remove(directory_ / "log");
    return text.ok() ? *text : "";
  }

  Status product(int64_t tokens = 2) {
    GemmArgs args;
    y_.assign(static_cast<size_t>(tokens * 8), 0);
    x_.assign(static_cast<size_t>(tokens * 16), to_bf16(1));
    w_.assign(8 * 16, to_bf16(0.5f));
    args.x = x_.data(), args.w = w_.data(), args.y = y_.data();
    args.tokens = tokens, args.in = args.x_stride = args.w_stride = 16, args.out = args.y_stride = 8;
    args.y_type = Element::f32;
    return library_->gemm(args, nullptr);
  }

  TempDir directory_;
  bool capturing_ = false;
  std::unique_ptr<GemmLibrary> library_;
  std::vector<bf16> x_, w_;
  std::vector<float> y_;
};

template <typename T, typename Store>
std::vector<T> random_values(size_t count, uint32_t seed, const Store& store) {
  std::mt19937 random(seed);
  std::vector<T> values;
  for (size_t i = 0; i < count; ++i) values.push_back(store(std::uniform_real_distribution<float>(-1, 1)(random)));
  return values;
}

TEST_F(CublasLt, MultipliesRowMajorMatricesWithStrides) {
  const int64_t tokens = 5, in = 24, out = 16, x_stride = 30, w_stride = 26, y_stride = 20;
  const auto same = [](float x) { return x; };
  const auto x = random_values<bf16>(tokens * x_stride, 1, [](float v) { return to_bf16(v); });
  const auto w = random_values<bf16>(out * w_stride, 2, [](float v) { return to_bf16(v); });
  const auto before = random_values<float>(tokens * y_stride, 3, same);
  for (const bool add : {false, true}) {
    std::vector<float> y = before;
    ASSERT_OK(library_->gemm(
        {x.data(), w.data(), y.data(), tokens, in, out, x_stride, w_stride, y_stride, Element::bf16, Element::f32, add},
        nullptr));
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t o = 0; o < y_stride; ++o) {
        double expected = before[t * y_stride + o];
        if (o < out) {
          if (!add) expected = 0;
          for (int64_t k = 0; k < in; ++k)
            expected += double{to_f32(x[t * x_stride + k])} * to_f32(w[o * w_stride + k]);
        }
        EXPECT_NEAR(y[t * y_stride + o], expected, 1e-5) << t << " " << o;
      }
  }
}

TEST_F(CublasLt, WithoutASearchTheFirstProposalIsTaken) {
  ASSERT_OK(product());
  EXPECT_EQ(y_, std::vector<float>(16, 8.0f));
  ASSERT_OK(product());
  EXPECT_EQ(ran(), "00");
  EXPECT_EQ(*library_->version(), "cuBLASLt 13.0.2");
}

TEST_F(CublasLt, TheFastestIsKeptInMemoryAndInTheFile) {
  measure();
  ASSERT_OK(product());
  EXPECT_EQ(ran(),
            "0123"
            "023"
            "023"
            "023"
            "023"
            "023"
            "2");
  EXPECT_EQ(y_, std::vector<float>(16, 8.0f));
  ASSERT_OK(product());
  EXPECT_EQ(ran(), "2");
  open();
  measure();
  ASSERT_OK(product());
  EXPECT_EQ(ran(), "2");
  EXPECT_TRUE(library_->take_warnings().empty());
}

TEST_F(CublasLt, RareTokenCountsAndCapturesAreNotMeasured) {
  measure();
  ASSERT_OK(product(65));
  EXPECT_EQ(ran(), "0");
  capturing_ = true;
  ASSERT_OK(product(3));
  EXPECT_EQ(ran(), "0");
}

TEST_F(CublasLt, AFileThatIsDamagedCostsASearchAndAWarning) {
  measure();
  ASSERT_OK(product());
  const std::string good = *read_file(file());
  std::string other = good;
  const size_t mark = other.find("2165737261707365");  // kMark, bytes as they stand in memory
  ASSERT_NE(mark, other.npos);
  other.replace(mark, 2, "00");  // an algorithm that the library does not know
  for (const std::string& text : {good.substr(0, good.size() / 2), other}) {
    ASSERT_OK(write_file_atomically(file(), text));
    open();
    measure();
    ran();
    ASSERT_OK(product());
    EXPECT_EQ(ran().back(), '2');
    EXPECT_EQ(library_->take_warnings().size(), text == other ? 0u : 1u);
    EXPECT_NE(read_file(file())->find("2165737261707365"), text.npos);  // and the file is whole again
  }
}

// A proposal that passes the library's check and then fails.
TEST_F(CublasLt, AnAlgorithmOfTheFileThatFailsIsReplaced) {
  measure();
  ASSERT_OK(product());
  std::string text = *read_file(file());
  const size_t place = text.find("\"02000000");
  ASSERT_NE(place, text.npos);
  text.replace(place, 3, "\"01");
  ASSERT_OK(write_file_atomically(file(), text));
  open();
  measure();
  ran();
  ASSERT_OK(product());
  EXPECT_EQ(ran(), "10");
  EXPECT_EQ(y_, std::vector<float>(16, 8.0f));
}

TEST_F(CublasLt, ErrorsNameCallShapeAndCode) {
  GemmArgs args;
  args.x = args.w = args.y = this;
  args.tokens = 3, args.in = 16, args.out = 8, args.x_stride = 8, args.w_stride = 16, args.y_stride = 8;
  const Status status = library_->gemm(args, nullptr);  // rows of x overlap
  EXPECT_FAILURE(status, StatusKind::internal, "cublasLtMatrixLayoutCreate [3x16x8 bf16 bf16");
  EXPECT_FAILURE(status, StatusKind::internal, "CUBLAS_STATUS_OTHER; --device cpu");
}

TEST_F(CublasLt, ALibraryThatIsMissingIsNamed) {
  setenv("ESPARSE_CUBLASLT", "/nowhere/libcublasLt.so", 1);
  EXPECT_FAILURE(product(), StatusKind::unsupported, "cuBLASLt: ESPARSE_CUBLASLT: /nowhere/libcublasLt.so");
}

}  // namespace
}  // namespace esparse::cuda
