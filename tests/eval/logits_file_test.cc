#include "eval/logits_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "eval/golden_model.h"
#include "eval/perplexity.h"
#include "io/safetensors_writer.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

const Conditions kConditions = {{"text_sha256", "abc"}, {"context", "16"}};

class LogitsFile : public testing::Test {
 protected:
  LogitsFile() : windows_(cut_windows(documents_, {.context = 16}).value()) {}

  std::filesystem::path path() const { return directory_ / "dense.safetensors"; }

  Result<Perplexity> save(const Model& model) {
    ESPARSE_ASSIGN_OR_RETURN(LogitsWriter writer, LogitsWriter::create(path(), windows_, std::nullopt,
                                                                       model.config().vocab_size, kConditions));
    CpuEngine engine(model);
    ESPARSE_ASSIGN_OR_RETURN(Perplexity measured, measure_perplexity(engine, {.windows = windows_, .writer = &writer}));
    ESPARSE_RETURN_IF_ERROR(writer.commit());
    return measured;
  }

  TempDir directory_;
  const std::vector<std::vector<int32_t>> documents_ = {read_expected<int32_t>("input_ids")};
  const std::vector<TextWindow> windows_;
};

// Against the same model running: f16 keeps 11 bits of each logarithm.
TEST_F(LogitsFile, SaysWhatTheModelSays) {
  const auto dense = load_model(), other = load_model(kFixture.parent_path() / "llama-bias");
  const auto saved = save(*dense);
  ASSERT_TRUE(saved.ok()) << saved.status().message();
  EXPECT_NEAR(static_cast<double>(std::filesystem::file_size(path())),
              static_cast<double>(LogitsWriter::file_bytes(windows_, dense->config().vocab_size)), 2000);
  auto stored = open_logits(path(), windows_, std::nullopt, kConditions);
  ASSERT_TRUE(stored.ok()) << stored.status().message();
  CpuEngine dense_engine(*dense), other_engine(*other);
  const auto live = live_reference(dense_engine, 16);
  const auto from_file = measure_perplexity(other_engine, {.windows = windows_, .reference = stored->get()});
  const auto from_model = measure_perplexity(other_engine, {.windows = windows_, .reference = live.get()});
  ASSERT_TRUE(from_file.ok() && from_model.ok());
  const Divergence &a = *from_file->divergence, &b = *from_model->divergence;
  EXPECT_NEAR(a.kl.mean, b.kl.mean, 1e-3 * b.kl.mean);
  EXPECT_NEAR(a.kl_p99, b.kl_p99, 5e-3 * b.kl_p99);
  EXPECT_NEAR(a.perplexity_ratio.mean, b.perplexity_ratio.mean, 1e-6) << "losses are kept in f32";
  EXPECT_NEAR(a.reference_nll.mean, saved->nll.mean, 1e-6);
}

TEST_F(LogitsFile, AppearsOnlyWhenItIsComplete) {
  const auto model = load_model();
  {
    auto writer = LogitsWriter::create(path(), windows_, std::nullopt, model->config().vocab_size, kConditions);
    ASSERT_TRUE(writer.ok());
    EXPECT_FALSE(writer->commit().ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(LogitsFile, RefusesAnotherMeasurement) {
  ASSERT_TRUE(save(*load_model()).ok());
  const auto open = [&](const std::vector<TextWindow>& windows, const Conditions& conditions) {
    return open_logits(path(), windows, std::nullopt, conditions).status();
  };
  EXPECT_TRUE(open(windows_, kConditions).ok());
  Conditions other = kConditions;
  other["text_sha256"] = "abd";
  EXPECT_TRUE(is_failure(open(windows_, other), StatusKind::invalid_argument, "text_sha256: this run has abd"));
  other = kConditions;
  other["context"] = "32";
  EXPECT_TRUE(is_failure(open(windows_, other), StatusKind::invalid_argument, "context: this run has 32"));
  std::vector<std::vector<int32_t>> changed = documents_;
  changed[0][20] ^= 1;
  EXPECT_TRUE(is_failure(open(cut_windows(changed, {.context = 16}).value(), kConditions), StatusKind::invalid_argument,
                         "tokens of the text"));
  EXPECT_TRUE(is_failure(open_logits(kFixture / "model.safetensors", windows_, std::nullopt, kConditions).status(),
                         StatusKind::corruption, "save-logits"));
}

// Files as somebody else might write them; `change` damages one that is good.
TEST_F(LogitsFile, RefusesDamage) {
  const auto model = load_model();
  ASSERT_TRUE(save(*model).ok());
  CpuEngine engine(*model);
  const auto measure = [&]() -> Status {
    ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Reference> stored,
                             open_logits(path(), windows_, std::nullopt, kConditions));
    return measure_perplexity(engine, {.windows = windows_, .reference = stored.get()}).status();
  };
  const std::string good = read_text(path());
  uint64_t header = 0;
  std::memcpy(&header, good.data(), sizeof(header));
  const size_t data = sizeof(header) + header;
  const auto patched = [&](size_t at, std::string_view bytes) {
    std::string bad = good;
    write_text(path(), bad.replace(at, bytes.size(), bytes));
    return measure();
  };
  ASSERT_TRUE(measure().ok());
  EXPECT_TRUE(is_failure(patched(data + 2, "\xff\x7f"), StatusKind::corruption, "log_probs: token 0")) << "NaN";
  EXPECT_TRUE(is_failure(patched(data + 2, std::string_view("\0\0", 2)), StatusKind::corruption, "add up to 1"));
  EXPECT_TRUE(is_failure(patched(good.size() - 4, "\xff\xff\xff\xff"), StatusKind::corruption, "losses: token"));
  const size_t version = good.find("\"version\":\"1\"");
  ASSERT_NE(version, std::string::npos);
  EXPECT_TRUE(is_failure(patched(version + 11, "2"), StatusKind::unsupported, "version 2"));
  write_text(path(), good.substr(0, good.size() - 2));
  EXPECT_FALSE(measure().ok());
}

}  // namespace
}  // namespace esparse
