#include "io/sharded_writer.h"

#include <utility>

#include "io/files.h"
#include "io/json.h"
#include "io/quote_name.h"
#include "io/safetensors_writer.h"

namespace esparse {
namespace fs = std::filesystem;

std::string shard_name(int64_t shard, int64_t shard_count) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shard_count);
}

Status write_shard_index(const fs::path& directory, const std::map<std::string, std::string>& weight_map,
                         int64_t total_bytes) {
  const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  // Names were accepted by the safetensors writer, so they are UTF-8; escaped to ASCII as Python's json does.
  return write_file_atomically(directory / "model.safetensors.index.json", index.dump(2, ' ', true) + "\n");
}

ShardedWriter::ShardedWriter(fs::path directory, int64_t shard_count, std::map<std::string, std::string> metadata)
    : directory_(std::move(directory)), metadata_(std::move(metadata)), shards_(shard_count) {
  ESPARSE_CHECK(shard_count > 0);
}

fs::path ShardedWriter::path(int64_t shard) const {
  return directory_ / shard_name(shard, static_cast<int64_t>(shards_.size()));
}

Status ShardedWriter::record(int64_t shard, std::vector<Tensor> tensors) {
  if (tensors.empty()) return invalid_argument("{}: expected a tensor at least, got none", path(shard).string());
  for (const Tensor& tensor : tensors) {
    const auto owner = owners_.find(tensor.name);
    if (owner != owners_.end() && owner->second != shard) {
      return invalid_argument("{}: tensor {} stands in {} already", path(shard).string(), quote_name(tensor.name),
                              path(owner->second).filename().string());
    }
  }
  for (const Tensor& old : shards_[shard]) owners_.erase(old.name);
  for (const Tensor& tensor : tensors) owners_[tensor.name] = shard;
  shards_[shard] = std::move(tensors);
  return {};
}

Status ShardedWriter::write(int64_t shard, std::span<const TensorInfo> tensors, const TensorStore* source) {
  std::vector<Tensor> list;
  for (const TensorInfo& tensor : tensors) list.push_back({tensor.name, static_cast<int64_t>(tensor.data.size())});
  ESPARSE_RETURN_IF_ERROR(record(shard, std::move(list)));
  const Status status = write_safetensors(path(shard), tensors, metadata_, source);
  if (!status.ok()) {
    for (const Tensor& tensor : shards_[shard]) owners_.erase(tensor.name);
    shards_[shard].clear();
  }
  return status;
}

Status ShardedWriter::adopt(int64_t shard) {
  // Opening reads the header and compares it with the length of the file.
  ESPARSE_ASSIGN_OR_RETURN(const TensorStore store, TensorStore::open_file(path(shard)));
  if (store.metadata() != metadata_) {
    return invalid_argument("{}: its metadata is not that of this run: it was written by another one",
                            path(shard).string());
  }
  std::vector<Tensor> list;
  for (const auto& [name, tensor] : store.tensors()) list.push_back({name, static_cast<int64_t>(tensor.data.size())});
  return record(shard, std::move(list));
}

Status ShardedWriter::finish() {
  std::map<std::string, std::string> weight_map;
  int64_t total_bytes = 0;
  for (int64_t shard = 0; shard < static_cast<int64_t>(shards_.size()); ++shard) {
    if (!has(shard)) return internal_error("{}: the shard has not been written", path(shard).string());
    for (const Tensor& tensor : shards_[shard]) {
      weight_map[tensor.name] = path(shard).filename().string();
      total_bytes += tensor.bytes;
    }
  }
  return write_shard_index(directory_, weight_map, total_bytes);
}

}  // namespace esparse
