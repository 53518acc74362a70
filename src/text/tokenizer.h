// Text to token ids and back. Two families: SentencePiece models and the BPE of tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse {

// Immutable after loading; every method may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The ids of `text` (UTF-8; invalid sequences become U+FFFD, never an error). With `add_special` what
  // the reference adds by default around a single text (a BOS for most, an EOS for some), otherwise the ids of the text
  // alone.
  virtual Result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const = 0;

  // The text of the ids, special tokens of a tokenizer.json spelled out. May end in an incomplete UTF-8 sequence when
  // the ids do; other invalid UTF-8 becomes U+FFFD. Refuses ids outside the vocabulary.
  virtual Result<std::string> decode(std::span<const int32_t> ids) const = 0;

  virtual int64_t vocab_size() const = 0;             // highest id + 1, added tokens included
  virtual std::optional<int32_t> bos_id() const = 0;  // the BOS that encode(.., true) prepends, if it does
  virtual std::optional<int32_t> eos_id() const = 0;  // as the tokenizer's own files name it
};

// The tokenizer of a model directory: tokenizer.json, else tokenizer.model, else (beside a llama2.c file) the one
// tok<vocab>.model. Refuses, naming the directory, when there is none or several.
Result<std::filesystem::path> find_tokenizer_file(const std::filesystem::path& directory);
// Loads *.json or *.model; a tokenizer_config.json beside it gives add_bos_token / add_eos_token for SentencePiece.
// Errors name the file.
Result<std::unique_ptr<Tokenizer>> load_tokenizer_file(const std::filesystem::path& file);
// Both in one.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::filesystem::path& directory);

}  // namespace esparse
