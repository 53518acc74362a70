#include "prune/model_writer.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "io/files.h"
#include "sparse/bitmap_storage.h"
#include "sparse/nm_storage.h"
#include "sparse/spense_storage.h"

namespace esparse {
namespace {

// The tensors of the new file; owns those that exist nowhere else.
class TensorList {
 public:
  void add_view(TensorInfo tensor) { tensors_.push_back(std::move(tensor)); }

  void add_packed(const LinearLayer& linear) {
    if (const auto* map = std::get_if<BitmapView>(&linear.weight()))
      return append_bitmap_tensors(*map, linear.name(), bitmap_records_, tensors_);
    if (const auto* spense = std::get_if<SpenseView>(&linear.weight()))
      return append_spense_tensors(*spense, linear.name(), spense_records_, tensors_);
    append_nm_tensors(std::get<NmView>(linear.weight()), linear.name(), nm_records_, tensors_);
  }

  void add_dense(const LinearLayer& linear) {
    const auto& dense = std::get<DenseView>(linear.weight());
    const auto bytes = static_cast<size_t>(dense.out_features * dense.row_bytes());
    tensors_.push_back(
        {linear.name() + ".weight", dense.dtype, {dense.out_features, dense.in_features}, {dense.data, bytes}});
  }

  // The bias in the type it has in the source; converting back is exact, since it came from there.
  void add_bias(const LinearLayer& linear, DType dtype) {
    auto& bytes = owned_.emplace_back(linear.bias().size() * dtype_bytes(dtype));
    convert_from_f32(dtype, linear.bias(), bytes.data());
    tensors_.push_back({linear.name() + ".bias", dtype, {linear.out_features()}, bytes});
  }

  void add_order(const std::string& name, const std::vector<int32_t>& order) {
    if (order.empty()) return;
    tensors_.push_back({name, DType::i32, {static_cast<int64_t>(order.size())}, std::as_bytes(std::span(order))});
  }

  std::span<const TensorInfo> tensors() const { return tensors_; }

 private:
  std::vector<TensorInfo> tensors_;
  NmShapeRecords nm_records_;
  BitmapShapeRecords bitmap_records_;
  SpenseShapeRecords spense_records_;
  std::deque<std::vector<std::byte>> owned_;
};

// "model.layers.0.mlp.up_proj" -> "model.layers.0.mlp.input_order", "model.decoder.layers.0.fc1" ->
// "...fc1.input_order".
std::string mlp_order_name(const DecoderBlock& block) {
  return block.has_gate ? block.name + ".mlp.input_order" : block.name + ".fc1.input_order";
}

TensorList collect_block(const DecoderBlock& block, const TensorStore& source) {
  TensorList list;
  std::set<std::string> written;
  for (InputSite site : kInputSites)
    for (const LinearLayer* linear : block.linears_at(site)) {
      linear->is_packed() ? list.add_packed(*linear) : list.add_dense(*linear);
      written.insert(linear->name() + ".weight");
      if (linear->bias().empty()) continue;
      const std::string bias = linear->name() + ".bias";
      list.add_bias(*linear, source.find(bias)->dtype);
      written.insert(bias);
    }
  list.add_order(block.name + ".self_attn.input_order", block.attention_order);
  list.add_order(mlp_order_name(block), block.mlp_order);
  for (const auto& [name, tensor] : source.tensors())
    if (name.starts_with(block.name + ".") && !written.contains(name)) list.add_view(tensor);
  return list;
}

TensorList collect_rest(const Model& model) {
  TensorList list;
  for (const auto& [name, tensor] : model.checkpoint().tensors.tensors()) {
    const auto holds = [&](const DecoderBlock& block) { return name.starts_with(block.name + "."); };
    if (std::ranges::none_of(model.blocks(), holds)) list.add_view(tensor);
  }
  return list;
}

std::map<std::string, std::string> shard_metadata(const TensorStore& source) {
  std::map<std::string, std::string> metadata = source.metadata();
  metadata["esparse"] = "docs/formats/README.md";
  return metadata;
}

// Under the name that loaders look for.
Status add_tokenizer(const std::filesystem::path& file, const std::filesystem::path& directory) {
  const std::filesystem::path target = directory / ("tokenizer" + file.extension().string());
  if (std::filesystem::exists(target)) return {};
  ESPARSE_ASSIGN_OR_RETURN(const std::string contents, read_file(file));
  return write_file_atomically(target, contents);
}

}  // namespace

ModelWriter::ModelWriter(const Model& model, std::filesystem::path directory)
    : model_(model),
      directory_(std::move(directory)),
      shards_(directory_, static_cast<int64_t>(model.blocks().size()) + 1, shard_metadata(model.checkpoint().tensors)) {
}

Status ModelWriter::write_block(int64_t layer) {
  const TensorStore& source = model_.checkpoint().tensors;
  const TensorList list = collect_block(model_.blocks()[layer], source);
  return shards_.write(layer, list.tensors(), &source);
}

Status ModelWriter::finish(const std::filesystem::path& tokenizer_file, const Json& report) {
  const Checkpoint& source = model_.checkpoint();
  if (std::filesystem::is_directory(source.path)) {
    ESPARSE_RETURN_IF_ERROR(copy_side_files(source.directory, directory_));
  }
  ESPARSE_RETURN_IF_ERROR(add_tokenizer(tokenizer_file, directory_));
  ESPARSE_RETURN_IF_ERROR(write_file_atomically(directory_ / "config.json", source.config.dump(2) + "\n"));
  ESPARSE_RETURN_IF_ERROR(write_file_atomically(directory_ / "esparse.json",
                                                report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"));
  const TensorList rest = collect_rest(model_);
  ESPARSE_RETURN_IF_ERROR(shards_.write(static_cast<int64_t>(model_.blocks().size()), rest.tensors(), &source.tensors));
  return shards_.finish();
}

Status save_pruned_model(const Model& model, const std::filesystem::path& tokenizer_file, const Json& report,
                         const std::filesystem::path& directory) {
  ModelWriter writer(model, directory);
  for (size_t layer = 0; layer < model.blocks().size(); ++layer)
    ESPARSE_RETURN_IF_ERROR(writer.write_block(static_cast<int64_t>(layer)));
  return writer.finish(tokenizer_file, report);
}

}  // namespace esparse
