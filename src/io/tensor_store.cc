#include "io/tensor_store.h"

#include <set>

#include "base/checked.h"
#include "io/json.h"
#include "io/quote_name.h"
#include "io/safetensors.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

// A shard lies beside its index; anything else in its name could lead out of the directory.
bool is_shard_name(const std::string& name) {
  return name.ends_with(".safetensors") && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find("..") == std::string::npos &&
         name.find('\0') == std::string::npos;
}

using WeightMap = std::map<std::string, std::string>;  // tensor -> shard

Result<WeightMap> parse_index(const Json& index, const std::string& label) {
  const JsonFields fields(index, label);
  const Json& entries = fields.raw("weight_map");
  if (!entries.is_object()) {
    return corruption("{}: key \"weight_map\": expected an object, got {}", label, entries.type_name());
  }
  WeightMap map;
  for (const auto& [tensor, shard] : entries.items()) {
    if (!shard.is_string()) {
      return corruption("{}: tensor {}: expected the name of a shard, got {}", label, quote_name(tensor),
                        shard.type_name());
    }
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_shard_name(name)) {
      return corruption("{}: tensor {}: expected a plain *.safetensors name as shard, got {}", label,
                        quote_name(tensor), quote_name(name));
    }
    map.emplace(tensor, name);
  }
  return map;
}

// Every tensor of the shard must be expected in it, and the other way round.
Status check_shard(const SafetensorsHeader& header, const std::string& shard, const WeightMap& map,
                   const std::string& label) {
  for (const auto& [name, tensor] : header.tensors) {
    const auto entry = map.find(name);
    if (entry == map.end()) {
      return corruption("{}: tensor {} stands in {} but not in the index", label, quote_name(name), shard);
    }
    if (entry->second != shard) {
      return corruption("{}: tensor {}: expected in {} alone, got it in {}", label, quote_name(name), entry->second,
                        shard);
    }
  }
  for (const auto& [name, expected_shard] : map) {
    if (expected_shard == shard && !header.tensors.contains(name)) {
      return corruption("{}: tensor {}: expected in {}, which lacks it", label, quote_name(name), shard);
    }
  }
  return {};
}

Status no_weights(const fs::path& directory) {
  std::error_code error;
  const bool has_pickles = fs::exists(directory / "pytorch_model.bin", error) ||
                           fs::exists(directory / "pytorch_model.bin.index.json", error);
  return not_found("{}: expected {} or {}, found neither{}", directory.string(), kSingleName, kIndexName,
                   has_pickles ? " (only pytorch_model.bin: convert it to safetensors first)" : "");
}

}  // namespace

Result<TensorStore> TensorStore::open_directory(const fs::path& directory) {
  const fs::path index_path = directory / kIndexName;
  Result<Json> index = read_json(index_path);
  if (!index.ok() && index.status().kind() == StatusKind::not_found) {
    Result<TensorStore> single = open_file(directory / kSingleName);
    if (!single.ok() && single.status().kind() == StatusKind::not_found) return no_weights(directory);
    return single;
  }
  if (!index.ok()) return index.status();
  const std::string label = index_path.string();
  ESPARSE_ASSIGN_OR_RETURN(const WeightMap map, parse_index(*index, label));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);

  TensorStore store;
  for (const std::string& shard : shards) {
    Result<MappedFile> file = MappedFile::open(directory / shard);
    if (!file.ok()) return file.status().with_context(fmt::format("{}: shard {}", label, quote_name(shard)));
    const auto bytes = store.adopt(std::move(file).value());
    ESPARSE_ASSIGN_OR_RETURN(SafetensorsHeader header, parse_safetensors(bytes, (directory / shard).string()));
    ESPARSE_RETURN_IF_ERROR(check_shard(header, shard, map, label));
    store.tensors_.merge(header.tensors);
    store.metadata_.merge(header.metadata);
  }
  return store;
}

Result<TensorStore> TensorStore::open_file(const fs::path& path) {
  TensorStore store;
  ESPARSE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  const auto bytes = store.adopt(std::move(file));
  ESPARSE_ASSIGN_OR_RETURN(SafetensorsHeader header, parse_safetensors(bytes, path.string()));
  store.tensors_ = std::move(header.tensors);
  store.metadata_ = std::move(header.metadata);
  return store;
}

const TensorInfo* TensorStore::find(const std::string& name) const {
  const auto entry = tensors_.find(name);
  return entry == tensors_.end() ? nullptr : &entry->second;
}

Result<TensorInfo> TensorStore::get(const std::string& name, const std::vector<int64_t>& shape) const {
  const TensorInfo* tensor = find(name);
  if (tensor == nullptr)
    return not_found("tensor {} is missing: expected shape {}", quote_name(name), shape_text(shape));
  if (tensor->shape != shape) {
    return corruption("tensor {}: expected shape {}, got {}", quote_name(name), shape_text(shape),
                      tensor->shape_text());
  }
  return *tensor;
}

void TensorStore::release_pages(std::span<const std::byte> bytes) const {
  for (const MappedFile& file : files_) file.release_pages(bytes);
}

void TensorStore::release_pages(std::string_view prefix) const {
  for (auto entry = tensors_.lower_bound(std::string(prefix)); entry != tensors_.end(); ++entry) {
    if (!entry->first.starts_with(prefix)) break;
    release_pages(entry->second.data);
  }
}

std::span<const std::byte> TensorStore::adopt(MappedFile file) {
  const auto bytes = file.bytes();
  file_bytes_ += static_cast<int64_t>(bytes.size());
  files_.push_back(std::move(file));
  return bytes;
}

Status TensorStore::add_view(TensorInfo tensor) {
  const auto count = checked_product(tensor.shape);
  const auto expected = count ? checked_mul(*count, dtype_bytes(tensor.dtype)) : std::nullopt;
  if (!expected || *expected != static_cast<int64_t>(tensor.data.size())) {
    return invalid_argument("tensor {}: {} bytes do not fit {} {}", quote_name(tensor.name), tensor.data.size(),
                            dtype_name(tensor.dtype), tensor.shape_text());
  }
  std::string name = tensor.name;
  const auto [entry, inserted] = tensors_.try_emplace(std::move(name), std::move(tensor));
  if (!inserted) return invalid_argument("tensor {}: there is one of that name already", quote_name(entry->first));
  return {};
}

Status TensorStore::add_owned(std::string name, DType dtype, std::vector<int64_t> shape, std::vector<std::byte> bytes) {
  auto storage = std::make_unique<std::vector<std::byte>>(std::move(bytes));
  ESPARSE_RETURN_IF_ERROR(add_view({std::move(name), dtype, std::move(shape), *storage}));
  owned_.push_back(std::move(storage));
  return {};
}

}  // namespace esparse
