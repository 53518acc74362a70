// tokenizer.model files, through libsentencepiece.
#pragma once

#include <filesystem>
#include <memory>

#include "base/status.h"
#include "text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace esparse {

// BOS in front unless the configuration says no or the model has none; EOS behind only if the configuration says so.
Result<std::unique_ptr<Tokenizer>> load_sentencepiece(const std::filesystem::path& file, const TokenizerConfig& config);

}  // namespace esparse
