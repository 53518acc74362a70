// tokenizer.json files: byte pair encoding with the steps around it, as the Hugging Face tokenizers library runs them.
#pragma once

#include <filesystem>
#include <memory>

#include "base/status.h"
#include "text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace esparse {

// The file's post-processor decides which special tokens surround a text; the configuration only names BOS and EOS. The
// file's truncation and padding are left out, as its readers do unless asked.
Result<std::unique_ptr<Tokenizer>> load_json_tokenizer(const std::filesystem::path& file,
                                                       const TokenizerConfig& config);

}  // namespace esparse
