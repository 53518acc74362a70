#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "base/interrupt.h"
#include "base/parallel.h"
#include "eval/golden_model.h"

namespace esparse {
namespace {

using Documents = std::vector<std::vector<int32_t>>;

Result<Perplexity> measure(const Model& model, const Documents& documents, const WindowOptions& options,
                           Reference* reference = nullptr) {
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<TextWindow> windows, cut_windows(documents, options));
  CpuEngine engine(model);
  return measure_perplexity(engine, {.windows = windows, .bos = options.bos, .reference = reference});
}

// Row t of the logits that transformers computed, as probabilities in double.
std::vector<double> golden_probabilities(const std::vector<float>& logits, size_t vocab, size_t t) {
  std::vector<double> p(vocab);
  double sum = 0;
  for (size_t v = 0; v < vocab; ++v) sum += p[v] = std::exp(static_cast<double>(logits[t * vocab + v]));
  for (double& value : p) value /= sum;
  return p;
}

TEST(Perplexity, AgreesWithTheGoldenLogits) {
  const auto model = load_model();
  const auto ids = read_expected<int32_t>("input_ids");
  const auto logits = read_expected<float>("logits");
  const auto measured = measure(*model, {ids}, {.context = static_cast<int64_t>(ids.size())});
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  std::vector<double> losses;
  for (size_t t = 0; t + 1 < ids.size(); ++t)
    losses.push_back(-std::log(golden_probabilities(logits, logits.size() / ids.size(), t)[ids[t + 1]]));
  double mean = 0, squares = 0;
  for (double loss : losses) mean += loss / static_cast<double>(losses.size());
  for (double loss : losses) squares += (loss - mean) * (loss - mean);
  const auto count = static_cast<double>(losses.size());
  EXPECT_NEAR(measured->nll.mean, mean, 1e-4 * mean);
  EXPECT_NEAR(measured->nll.standard_error, std::sqrt(squares / (count - 1) / count), 1e-4);
  EXPECT_NEAR(measured->perplexity.mean, std::exp(measured->nll.mean), 1e-9 * measured->perplexity.mean);
  EXPECT_EQ(measured->tokens, static_cast<int64_t>(ids.size()) - 1);
  EXPECT_EQ(measured->windows, 1);
  EXPECT_TRUE(measured->complete());
}

// Windows do not see each other, and the incomplete last one is dropped.
TEST(Perplexity, IsTheMeanOverIndependentWindows) {
  const auto model = load_model();
  const auto ids = read_expected<int32_t>("input_ids");
  const int64_t context = 12, windows = static_cast<int64_t>(ids.size()) / context;
  ASSERT_NE(ids.size() % context, 0u);
  double sum = 0;
  for (int64_t w = 0; w < windows; ++w) {
    const auto one =
        measure(*model, {{ids.begin() + w * context, ids.begin() + (w + 1) * context}}, {.context = context});
    ASSERT_TRUE(one.ok());
    sum += one->nll.mean;
  }
  const auto all = measure(*model, {ids}, {.context = context});
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->windows, windows);
  EXPECT_EQ(all->tokens, windows * (context - 1));
  EXPECT_NEAR(all->nll.mean, sum / static_cast<double>(windows), 1e-12);
}

// Sliding: the losses of the tokens behind the first window are those of windows that end there.
TEST(Perplexity, SlidingCountsEveryTokenOnce) {
  const auto model = load_model();
  auto ids = read_expected<int32_t>("input_ids");
  ids.resize(21);
  const auto logits = read_expected<float>("logits");
  const auto sliding = measure(*model, {ids}, {.context = 8, .stride = 5});
  ASSERT_TRUE(sliding.ok()) << sliding.status().message();
  EXPECT_EQ(sliding->tokens, 20);
  double sum = 0;
  const auto first = measure(*model, {{ids.begin(), ids.begin() + 8}}, {.context = 8});
  sum += first->nll.mean * 7;
  for (const auto& [begin, end] : {std::pair{5, 13}, {10, 18}, {15, 21}}) {
    const std::vector<int32_t> part(ids.begin() + begin, ids.begin() + end);
    const auto longer = measure(*model, {part}, {.context = std::ssize(part)});
    const int64_t old = 3;  // tokens that an earlier window has counted
    const auto shorter = measure(*model, {{part.begin(), part.begin() + old}}, {.context = old});
    sum +=
        longer->nll.mean * static_cast<double>(std::ssize(part) - 1) - shorter->nll.mean * static_cast<double>(old - 1);
  }
  EXPECT_NEAR(sliding->nll.mean, sum / 20, 1e-5);
}

TEST(Perplexity, ThreadCountDoesNotMatter) {
  const auto model = load_model();
  const Documents documents = {read_expected<int32_t>("input_ids")};
  set_thread_count(1);
  const auto one = measure(*model, documents, {.context = 20});
  set_thread_count(3);
  const auto three = measure(*model, documents, {.context = 20});
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->nll.mean, three->nll.mean);
}

// The other golden model stands for the dense one; expected values from the logits of both, in double.
TEST(Divergence, AgreesWithTheDefinition) {
  const auto model = load_model(), dense = load_model(kFixture.parent_path() / "llama-bias");
  const auto ids = read_expected<int32_t>("input_ids");
  const auto count = static_cast<int64_t>(ids.size());
  KvCache cache = model->make_cache(count), dense_cache = dense->make_cache(count);
  Matrix<float> p(count, model->config().vocab_size), q(count, model->config().vocab_size);
  dense->logits(dense->forward(ids, dense_cache).value().view(), p.view());
  model->logits(model->forward(ids, cache).value().view(), q.view());
  std::vector<double> kl;
  double same = 0, difference = 0;
  for (int64_t t = 0; t + 1 < count; ++t) {
    const std::vector<float> reference(p.row(t).begin(), p.row(t).end()), own(q.row(t).begin(), q.row(t).end());
    const auto a = golden_probabilities(reference, reference.size(), 0), b = golden_probabilities(own, own.size(), 0);
    double sum = 0;
    for (size_t v = 0; v < a.size(); ++v) sum += a[v] * std::log(a[v] / b[v]);
    kl.push_back(sum);
    same += std::ranges::max_element(a) - a.begin() == std::ranges::max_element(b) - b.begin();
    difference += std::log(a[ids[t + 1]] / b[ids[t + 1]]);
  }
  double mean = 0;
  for (double value : kl) mean += value / static_cast<double>(kl.size());
  CpuEngine dense_engine(*dense);
  const auto reference = live_reference(dense_engine, count);
  const auto measured = measure(*model, {ids}, {.context = count}, reference.get());
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  const Divergence& found = *measured->divergence;
  EXPECT_GT(mean, 0.01);
  EXPECT_NEAR(found.kl.mean, mean, 1e-4 * mean);
  EXPECT_NEAR(found.kl_p99, percentile(kl, 0.99), 1e-4 * mean);
  EXPECT_NEAR(found.same_top.mean, same / static_cast<double>(kl.size()), 1e-12);
  EXPECT_NEAR(found.nll_difference.mean, difference / static_cast<double>(kl.size()), 1e-4);
  EXPECT_NEAR(found.perplexity_ratio.mean, std::exp(found.nll_difference.mean), 1e-9);
  EXPECT_NEAR(measured->nll.mean - found.reference_nll.mean, found.nll_difference.mean, 1e-9);
}

TEST(Divergence, FromItselfIsZero) {
  const auto model = load_model();
  CpuEngine engine(*model);
  const auto reference = live_reference(engine, 16);
  const auto measured = measure(*model, {read_expected<int32_t>("input_ids")}, {.context = 16}, reference.get());
  ASSERT_TRUE(measured.ok());
  EXPECT_EQ(measured->divergence->kl.mean, 0);
  EXPECT_EQ(measured->divergence->same_top.mean, 1);
  EXPECT_EQ(measured->divergence->perplexity_ratio.mean, 1);
}

TEST(Perplexity, RefusesWhatItCannotMeasure) {
  const auto model = load_model();
  EXPECT_FALSE(measure(*model, {{1, 2, 3, 4}}, {.context = 1}).ok());
  EXPECT_FALSE(measure(*model, {{1}}, {.context = 4}).ok());
  const Documents longest = {std::vector<int32_t>(model->config().max_positions + 1, 1)};
  EXPECT_FALSE(measure(*model, longest, {.context = model->config().max_positions + 1}).ok());
  const auto refused = measure(*model, {{1, 2, 100000, 4}}, {.context = 4});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("100000"), std::string::npos);
}

TEST(Perplexity, InterruptedBeforeTheFirstWindowIsAnError) {
  const auto model = load_model();
  const CatchInterrupt guard;
  std::raise(SIGINT);
  const auto measured = measure(*model, {read_expected<int32_t>("input_ids")}, {.context = 16});
  ASSERT_FALSE(measured.ok());
  EXPECT_EQ(measured.status().kind(), StatusKind::interrupted);
}

TEST(BitsPerByte, AreNatsPerTokenTimesTokensPerByte) {
  EXPECT_DOUBLE_EQ(bits_per_byte(std::log(2.0) * 3, 10, 40), 0.75);
}

}  // namespace
}  // namespace esparse
