// What tokenizer_config.json says beside the tokenizer itself.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/status.h"

namespace esparse {

struct TokenizerConfig {
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
};

// An absent file is an empty configuration.
Result<TokenizerConfig> read_tokenizer_config(const std::filesystem::path& file);

}  // namespace esparse
