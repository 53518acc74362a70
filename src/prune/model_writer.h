// Writes a pruned model as a model directory of its own, one safetensors file per decoder block and one for the rest.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "io/json.h"
#include "io/sharded_writer.h"
#include "model/model.h"

namespace esparse {

// Fills `directory`, the working directory of an output. Blocks may come in any order, each as soon as it is pruned:
// nothing of it is read afterwards.
class ModelWriter {
 public:
  ModelWriter(const Model& model, std::filesystem::path directory);

  // The linears of the block as they are now, its norms and its channel orders.
  Status write_block(int64_t layer);
  // Takes over what an earlier run wrote; refuses a file that is not complete.
  Status adopt_block(int64_t layer) { return shards_.adopt(layer); }
  std::filesystem::path block_path(int64_t layer) const { return shards_.path(layer); }
  // The tensors outside the blocks, the index, configuration, tokenizer and other side files of the source (of a single
  // llama2.c file none: its directory may hold anything), `tokenizer_file` where that gave none, and esparse.json with
  // `report`.
  Status finish(const std::filesystem::path& tokenizer_file, const Json& report);

 private:
  const Model& model_;
  std::filesystem::path directory_;
  ShardedWriter shards_;
};

// All of a model at once.
Status save_pruned_model(const Model& model, const std::filesystem::path& tokenizer_file, const Json& report,
                         const std::filesystem::path& directory);

}  // namespace esparse
