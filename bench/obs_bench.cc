// OBS pruning of a layer (factor of the inverse gram + sweep at 2:4) against the time that its Cholesky factor,
// triangular inverse and matrix products alone take in bare OpenBLAS with as many threads; and add_gram against its
// ssyrk. All take turns in one run; prints medians.
//
//   obs_bench [in_features [out_features]]     default: 4096 4096
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <cblas.h>

#include "base/parallel.h"
#include "linalg/gram.h"
#include "linalg/inverse_factor.h"
#include "prune/obs.h"
#include "report/table.h"

extern "C" {
void dpotrf_(const char* uplo, const blasint* n, double* a, const blasint* lda, blasint* info);
void dtrtri_(const char* uplo, const char* diag, const blasint* n, double* a, const blasint* lda, blasint* info);
}

namespace {

using namespace esparse;

constexpr int kRepetitions = 9;

double seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

Matrix<float> random_matrix(int64_t rows, int64_t cols, uint32_t state) {
  Matrix<float> m(rows, cols);
  for (float& value : m.values())
    value = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1.0f;
  return m;
}

// The products of the sweep as OpenBLAS would be asked for them: blocks of 128 columns, halves of stretches of 1024,
// then everything behind the stretch. What happens inside a block counts as our overhead.
class BareProducts {
 public:
  BareProducts(MatrixView<float> weight, MatrixView<const float> u) : weight_(weight), u_(u) {}
  void run() {
    for (int64_t begin = 0; begin < weight_.cols; begin += 1024) {
      const int64_t end = std::min(weight_.cols, begin + 1024);
      halves(begin, end);
      product(begin, end, weight_.cols);
    }
  }

 private:
  void halves(int64_t begin, int64_t end) {
    if (end - begin <= 128) return;
    const int64_t middle = begin + 128 * ((end - begin + 127) / 128 / 2);
    halves(begin, middle);
    product(begin, middle, end);
    halves(middle, end);
  }
  void product(int64_t begin, int64_t middle, int64_t end) {
    if (middle == end) return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(weight_.rows),
                static_cast<blasint>(end - middle), static_cast<blasint>(middle - begin), -1e-6f, weight_.data + begin,
                static_cast<blasint>(weight_.stride), &u_(begin, middle), static_cast<blasint>(u_.stride), 1.0f,
                weight_.data + middle, static_cast<blasint>(weight_.stride));
  }
  MatrixView<float> weight_;
  MatrixView<const float> u_;
};

struct Times {
  std::vector<double> gram, factor, sweep, ssyrk, potrf, trtri, products, share;
};

void gram_turn(const Matrix<float>& x, Matrix<float>& gram, Times& times) {
  const auto n = static_cast<blasint>(x.cols()), tokens = static_cast<blasint>(x.rows());
  openblas_set_num_threads(1);
  times.gram.push_back(seconds([&] { add_gram(x.view(), gram.view()); }));
  openblas_set_num_threads(thread_count());
  times.ssyrk.push_back(seconds(
      [&] { cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, n, tokens, 1.0f, x.data(), n, 1.0f, gram.data(), n); }));
}

void obs_turn(const Matrix<float>& gram, const Matrix<float>& weight, Times& times) {
  const auto n = static_cast<blasint>(gram.rows());
  openblas_set_num_threads(1);
  Matrix<float> u = gram, pruned = weight;
  Matrix<uint8_t> mask(weight.rows(), weight.cols());
  times.factor.push_back(seconds([&] {
    auto result = inverse_cholesky_upper(std::move(u), 0.01);
    ESPARSE_CHECK(result.ok());
    u = std::move(result).value();
  }));
  times.sweep.push_back(seconds([&] { obs_sweep(pruned.view(), u.view(), NmPattern{2, 4}, mask.view()); }));

  openblas_set_num_threads(thread_count());
  std::vector<double> a(gram.values().begin(), gram.values().end());
  for (int64_t i = 0; i < gram.rows(); ++i) a[i * (gram.rows() + 1)] *= 1.01;
  blasint info = 0;
  times.potrf.push_back(seconds([&] { dpotrf_("U", &n, a.data(), &n, &info); }));
  ESPARSE_CHECK(info == 0);
  times.trtri.push_back(seconds([&] { dtrtri_("U", "N", &n, a.data(), &n, &info); }));
  times.products.push_back(seconds([&] { BareProducts(pruned.view(), u.view()).run(); }));
  times.share.push_back((times.potrf.back() + times.trtri.back() + times.products.back()) /
                        (times.factor.back() + times.sweep.back()));
}

}  // namespace

int main(int argc, char** argv) {
  set_thread_count(0);
  const int64_t in_features = argc > 1 ? std::atoll(argv[1]) : 4096;
  const int64_t out_features = argc > 2 ? std::atoll(argv[2]) : in_features;
  const Matrix<float> x = random_matrix(in_features + 256, in_features, 1);
  const Matrix<float> weight = random_matrix(out_features, in_features, 2);
  Matrix<float> gram(in_features, in_features);
  std::printf("OBS at 2:4, weight [%lld, %lld], %d threads, OpenBLAS %s, medians of %d interleaved runs\n",
              static_cast<long long>(out_features), static_cast<long long>(in_features), thread_count(),
              openblas_get_corename(), kRepetitions);
  Matrix<float> sums(in_features, in_features);
  add_gram(x.view(), gram.view());
  mirror_upper(gram.view());
  Times times;
  for (int i = 0; i <= kRepetitions; ++i) {
    gram_turn(x, sums, times);
    obs_turn(gram, weight, times);
    if (i == 0) times = {};  // warms up; not counted
  }

  const double in = static_cast<double>(in_features), out = static_cast<double>(out_features);
  Table table({"step", "ms", "GFLOP/s"});
  const auto row = [&](const std::string& name, double time, double operations) {
    table.add_row({name, fmt::format("{:.0f}", time * 1e3), fmt::format("{:.0f}", operations / time * 1e-9)});
  };
  const double cubed = in * in * in;
  row("esparse: add_gram", median(times.gram), in * in * static_cast<double>(x.rows()));
  row("bare: ssyrk", median(times.ssyrk), in * in * static_cast<double>(x.rows()));
  row("esparse: factor of the inverse gram", median(times.factor), cubed * 2 / 3);
  row("esparse: sweep", median(times.sweep), out * in * in);
  row("bare: dpotrf", median(times.potrf), cubed / 3);
  row("bare: dtrtri", median(times.trtri), cubed / 3);
  row("bare: sgemm", median(times.products), out * in * (in - 128));
  std::fputs(table.text().c_str(), stdout);
  std::printf("bare / esparse, factor and sweep: %.2f (median of the runs; 1 = no overhead)\n", median(times.share));
  return 0;
}
