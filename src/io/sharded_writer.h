// Model directories in several safetensors files with an index, as Hugging Face lays them out: shards are written one
// after the other, each complete or not there, and the index last.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/tensor.h"
#include "io/tensor_store.h"

namespace esparse {

// "model-00001-of-00017.safetensors" is shard 0 of 17.
std::string shard_name(int64_t shard, int64_t shard_count);

// The index of a directory: {"metadata": {"total_size": bytes of all tensors}, "weight_map": {tensor: shard file}},
// indented by two, keys sorted.
Status write_shard_index(const std::filesystem::path& directory, const std::map<std::string, std::string>& weight_map,
                         int64_t total_bytes);

class ShardedWriter {
 public:
  // The directory must exist. `metadata` goes into every shard.
  ShardedWriter(std::filesystem::path directory, int64_t shard_count, std::map<std::string, std::string> metadata);

  // Writes a shard (see write_safetensors()), in place of one of that name. Refuses a tensor that another shard has.
  Status write(int64_t shard, std::span<const TensorInfo> tensors, const TensorStore* source = nullptr);

  // Takes over a shard that an earlier run left. Refused: not_found when there is none; corruption when header and
  // length do not agree; invalid_argument for other metadata than this writer's, or a tensor that another shard has.
  // The values of the weights are not looked at.
  Status adopt(int64_t shard);

  // Whether write() or adopt() has succeeded for this shard.
  bool has(int64_t shard) const { return !shards_[shard].empty(); }
  std::filesystem::path path(int64_t shard) const;

  // Writes the index. Refuses to while a shard is missing.
  Status finish();

 private:
  struct Tensor {
    std::string name;
    int64_t bytes;
  };
  Status record(int64_t shard, std::vector<Tensor> tensors);

  std::filesystem::path directory_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::vector<Tensor>> shards_;  // empty: not there yet
  std::map<std::string, int64_t> owners_;    // tensor -> shard
};

}  // namespace esparse
