// Reads the f32 checkpoint format of karpathy/llama2.c (version 0: seven int32, then the tensors in fixed order).
#pragma once

#include <filesystem>

#include "base/status.h"
#include "io/checkpoint.h"

namespace esparse {

// Gives the tensors under their Hugging Face names with a LLaMA config. llama2.c rotates adjacent pairs (2i, 2i+1);
// the rows of wq and wk are reordered within each head so that the rotate-half convention (i, i + head_dim/2) gives
// the same scores. Refused: a header that does not fit the file's size (expected and got are named), negative or
// absurd dimensions, NaN or infinite weights are NOT checked here (the model loader does).
Result<Checkpoint> open_llama2c(const std::filesystem::path& file);

}  // namespace esparse
