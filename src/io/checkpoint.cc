#include "io/checkpoint.h"

#include "io/llama2c.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

Result<Checkpoint> open_hugging_face(const fs::path& directory) {
  Checkpoint checkpoint;
  checkpoint.path = directory;
  checkpoint.directory = directory;
  const fs::path config_path = directory / "config.json";
  checkpoint.config_label = config_path.string();
  ESPARSE_ASSIGN_OR_RETURN(checkpoint.config, read_json(config_path));
  if (!checkpoint.config.is_object()) {
    return corruption("{}: expected an object, got {}", checkpoint.config_label, checkpoint.config.type_name());
  }
  ESPARSE_ASSIGN_OR_RETURN(checkpoint.tensors, TensorStore::open_directory(directory));
  return checkpoint;
}

}  // namespace

Result<Checkpoint> open_checkpoint(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return not_found("{}: no such file or directory", path.string());
  if (status.type() == fs::file_type::none) return io_error("{}: {}", path.string(), error.message());
  if (fs::is_directory(status)) return open_hugging_face(path);
  if (path.extension() == ".bin") return open_llama2c(path);
  return unsupported("{}: expected a model directory (config.json and safetensors) or a llama2.c *.bin file",
                     path.string());
}

}  // namespace esparse
