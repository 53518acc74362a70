// A model as people have it on disk: a Hugging Face directory, or a llama2.c file read as if it were one.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "io/json.h"
#include "io/tensor_store.h"

namespace esparse {

struct Checkpoint {
  std::filesystem::path path;       // what the user named
  std::filesystem::path directory;  // where tokenizer files are looked for
  Json config;                      // config.json, or its equivalent
  std::string config_label;         // the path that errors about the config name
  TensorStore tensors;
};

// `path` is a directory with config.json and safetensors, or a llama2.c "*.bin" file (see llama2c.h).
// Errors: not_found for a missing path or config.json, and those of the readers.
Result<Checkpoint> open_checkpoint(const std::filesystem::path& path);

}  // namespace esparse
