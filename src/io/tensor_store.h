// All tensors of a checkpoint by name, wherever they lie: one safetensors file, several shards, or memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mmap.h"
#include "base/status.h"
#include "io/tensor.h"

namespace esparse {

// Move-only. Tensors stay valid, at the same address, as long as the store lives (moves included).
class TensorStore {
 public:
  // Opens `directory`/model.safetensors.index.json with its shards, or else `directory`/model.safetensors.
  // Refused: an index that names a tensor its shard lacks, a shard name that leaves the directory, a tensor that
  // stands in two shards or in a shard but not in the index. Only headers are read; weights are mapped.
  // Of a metadata key that several shards have, the first shard (by name) counts.
  static Result<TensorStore> open_directory(const std::filesystem::path& directory);
  // Opens one safetensors file.
  static Result<TensorStore> open_file(const std::filesystem::path& file);

  // nullptr when there is none of that name.
  const TensorInfo* find(const std::string& name) const;
  // The tensor, which must have exactly this shape; the error names tensor, expected and got.
  Result<TensorInfo> get(const std::string& name, const std::vector<int64_t>& shape) const;
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  int64_t file_bytes() const { return file_bytes_; }  // of all weight files together

  // Takes the pages of these bytes out of this process's memory where they lie in a mapped file; a later access reads
  // them from the file again. Bytes that the store owns, or does not know, are left alone. Thread-safe.
  void release_pages(std::span<const std::byte> bytes) const;
  // The same for every tensor whose name begins with `prefix`.
  void release_pages(std::string_view prefix) const;

  // Adds a tensor that the store owns; refuses a name that is taken and bytes that do not fit the shape.
  Status add_owned(std::string name, DType dtype, std::vector<int64_t> shape, std::vector<std::byte> bytes);
  // Keeps a mapped file as long as the store lives, for tensors added by add_view(); gives its bytes.
  std::span<const std::byte> adopt(MappedFile file);
  // Adds a tensor whose data lies in an adopted file; refuses what add_owned() refuses.
  Status add_view(TensorInfo tensor);

 private:
  std::vector<MappedFile> files_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> owned_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
  int64_t file_bytes_ = 0;
};

}  // namespace esparse
