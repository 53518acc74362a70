#include "eval/logits_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/sha256.h"
#include "io/tensor_store.h"
#include "kernels/elementwise.h"

namespace esparse {
namespace {

constexpr const char* kFormat = "esparse-logits";
constexpr const char* kVersion = "1";
constexpr float kLowest = -65504.0f;  // of f16; a probability of e^-65504 is 0 anyway
// f16 keeps 11 bits of a logarithm: that of a probable token is off by 1/4096 at most, of the sum by less.
constexpr double kSumTolerance = 0.01;

// Which tokens are predicted from which: everything but the model.
std::string windows_sha256(std::span<const TextWindow> windows, std::optional<int32_t> bos) {
  std::string lines;
  for (const TextWindow& window : windows) {
    const std::vector<int32_t> tokens = window.tokens(bos);
    lines += fmt::format("{} {} {}\n", tokens.size(), window.scored, sha256_hex(std::as_bytes(std::span(tokens))));
  }
  return sha256_hex(lines);
}

class StoredReference final : public Reference {
 public:
  StoredReference(TensorStore store, std::string label) : store_(std::move(store)), label_(std::move(label)) {
    log_probs_ = *store_.find("log_probs");
    losses_ = *store_.find("losses");
  }

  int64_t vocab_size() const override { return log_probs_.shape[1]; }

  Status begin_window(const TextWindow& window, std::span<const int32_t>) override {
    first_token_ = next_token_;
    next_token_ += window.scored;
    return {};
  }

  Status read(int64_t first, std::span<const int32_t>, MatrixView<float> log_probs, std::span<double> losses) override {
    const int64_t token = first_token_ + first, row_bytes = vocab_size() * dtype_bytes(DType::f16);
    const auto bytes = log_probs_.data.subspan(token * row_bytes, log_probs.rows * row_bytes);
    std::vector<double> sums(log_probs.rows);
    parallel_for(log_probs.rows, [&](int64_t row, int) {
      const auto values = log_probs.row(row);
      convert_to_f32(DType::f16, bytes.data() + row * row_bytes, values);
      sums[row] = log_sum_exp(values);
      for (float& value : values) value = static_cast<float>(value - sums[row]);
    });
    store_.release_pages(bytes);
    for (int64_t row = 0; row < log_probs.rows; ++row) {
      if (!(std::abs(sums[row]) < kSumTolerance))
        return corruption("{}: log_probs: token {}: expected probabilities that add up to 1, got {:g}", label_,
                          token + row, std::exp(sums[row]));
      float loss = 0;
      std::memcpy(&loss, losses_.data.data() + (token + row) * sizeof(float), sizeof(float));
      if (!(loss >= 0 && std::isfinite(loss)))
        return corruption("{}: losses: token {}: expected a number of at least 0, got {}", label_, token + row, loss);
      losses[row] = loss;
    }
    return {};
  }

 private:
  TensorStore store_;
  std::string label_;
  TensorInfo log_probs_, losses_;
  int64_t first_token_ = 0, next_token_ = 0;
};

Status check_shapes(const TensorStore& store, int64_t tokens) {
  const TensorInfo* log_probs = store.find("log_probs");
  const TensorInfo* losses = store.find("losses");
  if (log_probs == nullptr || log_probs->dtype != DType::f16 || log_probs->shape.size() != 2 ||
      log_probs->shape[0] != tokens || log_probs->shape[1] < 1)
    return corruption("log_probs: expected F16 [{}, vocabulary], got {}", tokens,
                      log_probs == nullptr ? "none" : log_probs->shape_text());
  if (losses == nullptr || losses->dtype != DType::f32 || losses->shape != std::vector<int64_t>{tokens})
    return corruption("losses: expected F32 [{}], got {}", tokens, losses == nullptr ? "none" : losses->shape_text());
  return {};
}

Status check_conditions(const Conditions& found, const Conditions& asked, const std::string& windows) {
  const auto get = [&](const std::string& key) {
    const auto entry = found.find(key);
    return entry == found.end() ? std::string("none") : entry->second;
  };
  if (get("format") != kFormat) return corruption("expected a file written by eval --save-logits");
  if (get("version") != kVersion)
    return unsupported("version {}, this program reads version {}", get("version"), kVersion);
  for (const auto& [key, value] : asked)
    if (get(key) != value)
      return invalid_argument("{}: this run has {}, the file was written with {}", key, value, get(key));
  if (get("windows_sha256") != windows)
    return invalid_argument("the tokens of the text are not those that the file was written with");
  return {};
}

}  // namespace

int64_t LogitsWriter::file_bytes(std::span<const TextWindow> windows, int64_t vocab_size) {
  return scored_tokens(windows) * (vocab_size * dtype_bytes(DType::f16) + dtype_bytes(DType::f32));
}

Result<LogitsWriter> LogitsWriter::create(const std::filesystem::path& path, std::span<const TextWindow> windows,
                                          std::optional<int32_t> bos, int64_t vocab_size, Conditions conditions) {
  const int64_t tokens = scored_tokens(windows);
  const std::vector<TensorInfo> layout = {{"log_probs", DType::f16, {tokens, vocab_size}, {}},
                                          {"losses", DType::f32, {tokens}, {}}};
  conditions["format"] = kFormat;
  conditions["version"] = kVersion;
  conditions["windows_sha256"] = windows_sha256(windows, bos);
  ESPARSE_ASSIGN_OR_RETURN(SafetensorsStream stream, SafetensorsStream::create(path, layout, conditions));
  return LogitsWriter(std::move(stream));
}

Status LogitsWriter::append(MatrixView<const float> log_probs, std::span<const double> losses) {
  const int64_t row_bytes = log_probs.cols * dtype_bytes(DType::f16);
  std::vector<std::byte> bytes(log_probs.rows * row_bytes);
  parallel_for(log_probs.rows, [&](int64_t row, int) {
    std::vector<float> values(log_probs.row(row).begin(), log_probs.row(row).end());
    for (float& value : values) value = std::max(value, kLowest);
    convert_from_f32(DType::f16, values, bytes.data() + row * row_bytes);
  });
  for (double loss : losses) losses_.push_back(static_cast<float>(std::max(loss, 0.0)));
  return stream_.append(bytes);
}

Status LogitsWriter::commit() {
  ESPARSE_RETURN_IF_ERROR(stream_.append(std::as_bytes(std::span(losses_))));
  return stream_.commit();
}

Result<std::unique_ptr<Reference>> open_logits(const std::filesystem::path& path, std::span<const TextWindow> windows,
                                               std::optional<int32_t> bos, const Conditions& conditions) {
  ESPARSE_ASSIGN_OR_RETURN(TensorStore store, TensorStore::open_file(path));
  const auto check = [&]() -> Status {
    ESPARSE_RETURN_IF_ERROR(check_conditions(store.metadata(), conditions, windows_sha256(windows, bos)));
    return check_shapes(store, scored_tokens(windows));
  };
  if (const Status status = check(); !status.ok()) return status.with_context(path.string());
  return std::unique_ptr<Reference>(std::make_unique<StoredReference>(std::move(store), path.string()));
}

}  // namespace esparse
