// What a dense model predicts on a text, kept in a file so that a large one need run only once.
// Format: docs/formats/logits.md.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "eval/reference.h"
#include "eval/windows.h"
#include "io/safetensors_writer.h"

namespace esparse {

// How a text was measured, by name, as it stands in the file: "text_sha256", "context", "stride" ...
using Conditions = std::map<std::string, std::string>;

class LogitsWriter {
 public:
  // Bytes of the file, about: tokens x vocabulary x 2.
  static int64_t file_bytes(std::span<const TextWindow> windows, int64_t vocab_size);

  static Result<LogitsWriter> create(const std::filesystem::path& path, std::span<const TextWindow> windows,
                                     std::optional<int32_t> bos, int64_t vocab_size, Conditions conditions);

  // The next predicted tokens: log_probs [tokens, vocab_size] and losses [tokens].
  Status append(MatrixView<const float> log_probs, std::span<const double> losses);
  // Refuses when tokens are missing. Without commit() no file appears.
  Status commit();

 private:
  explicit LogitsWriter(SafetensorsStream stream) : stream_(std::move(stream)) {}

  SafetensorsStream stream_;
  std::vector<float> losses_;
};

// Opens such a file as a reference. Refuses what is no such file, another text or another way to cut it (the message
// names the condition that differs, what was asked for and what the file has), and values that are no logarithms of
// probabilities.
Result<std::unique_ptr<Reference>> open_logits(const std::filesystem::path& path, std::span<const TextWindow> windows,
                                               std::optional<int32_t> bos, const Conditions& conditions);

}  // namespace esparse
