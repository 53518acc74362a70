// A model directory opened for use: checkpoint, model and tokenizer that belong together.
#pragma once

#include <filesystem>
#include <memory>

#include "base/status.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace esparse {

struct Session {
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::filesystem::path tokenizer_file;  // where it was read from
};

// running: packed weights are rearranged for the CPU (Model::arrange_for_running). The others leave them as the
// checkpoint has them.
enum class OpenFor { running, pruning, upload };

// `tokenizer_path` is a file, a directory, or empty: the model's own directory is searched then. Refuses a tokenizer
// whose ids do not fit the model's vocabulary.
Result<Session> open_session(const std::filesystem::path& model_path, const std::filesystem::path& tokenizer_path,
                             OpenFor purpose);

}  // namespace esparse
