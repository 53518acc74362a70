// Writes a pruned model as a model directory of its own.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "io/json.h"
#include "model/model.h"

namespace esparse {

// Fills `directory` (an OutputDirectory's temporary path): configuration, tokenizer and other side files of the source
// (of a single llama2.c file none: its directory may hold anything), `tokenizer_file` where that gave none,
// model.safetensors with the linears as they are now and the channel orders, and esparse.json with `report`.
Status save_pruned_model(const Model& model, const std::filesystem::path& tokenizer_file, const Json& report,
                         const std::filesystem::path& directory);

}  // namespace esparse
