#include "synthetic/synthetic_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/checked.h"
#include "base/parallel.h"
#include "io/files.h"
#include "io/safetensors_writer.h"
#include "io/sharded_writer.h"

namespace esparse {
namespace {

constexpr std::array kShapes = {
    SyntheticShape{"tiny", "2 blocks of 64, for tests", 2, 64, 160, 4, 2, 16, 2048, 512, 10000, true},
    SyntheticShape{"small", "4 blocks of 256, about 5 million weights", 4, 256, 1024, 8, 4, 32, 4096, 1024, 10000,
                   false},
    SyntheticShape{"llama-1b", "Llama 3.2 1B: 2.5 GB", 16, 2048, 8192, 32, 8, 64, 128256, 131072, 500000, true},
    SyntheticShape{"llama-3b", "Llama 3.2 3B: 6.4 GB", 28, 3072, 8192, 24, 8, 128, 128256, 131072, 500000, true},
    SyntheticShape{"llama-7b", "Llama 2 7B: 13.5 GB", 32, 4096, 11008, 32, 32, 128, 32000, 4096, 10000, false},
    SyntheticShape{"llama-8b", "Llama 3.1 8B: 16.1 GB", 32, 4096, 14336, 32, 8, 128, 128256, 131072, 500000, false},
};

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): a number from its place.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

uint64_t tensor_seed(std::string_view name, uint64_t seed) {
  for (const char c : name) seed = mix(seed ^ static_cast<unsigned char>(c));
  return mix(seed);
}

// Nearly normal with mean 0 and deviation 1: the sum of eight uniform 16-bit numbers. Integers and one product, so no
// mathematical library has a say in the bits.
float nearly_normal(uint64_t first, uint64_t second) {
  int32_t sum = 0;
  for (int shift = 0; shift < 64; shift += 16)
    sum += static_cast<int32_t>((first >> shift) & 0xffff) + static_cast<int32_t>((second >> shift) & 0xffff);
  constexpr double kMean = 8 * 65535 / 2.0;
  constexpr double kDeviation = 53510.6;  // sqrt(8 (2^32 - 1) / 12)
  return static_cast<float>((sum - kMean) / kDeviation);
}

void add_block(const SyntheticShape& s, int64_t block, std::vector<SyntheticTensor>& tensors) {
  const std::string prefix = fmt::format("model.layers.{}.", block);
  const int64_t q = s.num_heads * s.head_dim, kv = s.num_kv_heads * s.head_dim;
  // The residual stream receives two additions per block of the whole model, however many blocks are written.
  const double residual = 1 / std::sqrt(2.0 * static_cast<double>(s.blocks));
  auto linear = [&](const char* name, int64_t out, int64_t in, double factor) {
    tensors.push_back({prefix + name, {out, in}, factor / std::sqrt(static_cast<double>(in))});
  };
  tensors.push_back({prefix + "input_layernorm.weight", {s.hidden_size}});
  linear("self_attn.q_proj.weight", q, s.hidden_size, 1);
  linear("self_attn.k_proj.weight", kv, s.hidden_size, 1);
  linear("self_attn.v_proj.weight", kv, s.hidden_size, 1);
  linear("self_attn.o_proj.weight", s.hidden_size, q, residual);
  tensors.push_back({prefix + "post_attention_layernorm.weight", {s.hidden_size}});
  linear("mlp.gate_proj.weight", s.intermediate_size, s.hidden_size, 1);
  linear("mlp.up_proj.weight", s.intermediate_size, s.hidden_size, 1);
  linear("mlp.down_proj.weight", s.hidden_size, s.intermediate_size, residual);
}

int64_t element_count(const SyntheticTensor& tensor) { return *checked_product(tensor.shape); }

TensorInfo info_of(const SyntheticTensor& tensor) { return {tensor.name, DType::bf16, tensor.shape, {}}; }

// Groups of tensors whose bytes stay below the limit, in order; a tensor beyond it stands alone.
std::vector<std::vector<SyntheticTensor>> cut_into_shards(std::vector<SyntheticTensor> tensors, int64_t limit_bytes) {
  std::vector<std::vector<SyntheticTensor>> shards(1);
  int64_t bytes = 0;
  for (SyntheticTensor& tensor : tensors) {
    const int64_t more = element_count(tensor) * dtype_bytes(DType::bf16);
    if (!shards.back().empty() && bytes + more > limit_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

Status write_shard(const std::filesystem::path& path, const std::vector<SyntheticTensor>& tensors, uint64_t seed) {
  std::vector<TensorInfo> layout;
  for (const SyntheticTensor& tensor : tensors) layout.push_back(info_of(tensor));
  ESPARSE_ASSIGN_OR_RETURN(SafetensorsStream stream, SafetensorsStream::create(path, layout, {{"format", "pt"}}));
  std::vector<bf16> values;
  for (const SyntheticTensor& tensor : tensors) {
    constexpr int64_t kSlab = 4 << 20;
    const int64_t count = element_count(tensor);
    for (int64_t first = 0; first < count; first += kSlab) {
      values.resize(static_cast<size_t>(std::min(kSlab, count - first)));
      fill_synthetic(tensor, seed, first, values);
      ESPARSE_RETURN_IF_ERROR(stream.append(std::as_bytes(std::span(values))));
    }
  }
  return stream.commit();
}

Status copy_tokenizer(const std::filesystem::path& source, const std::filesystem::path& target) {
  bool any = false;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"}) {
    const Result<std::string> contents = read_file(source / name);
    if (!contents.ok() && contents.status().kind() == StatusKind::not_found) continue;
    if (!contents.ok()) return contents.status();
    ESPARSE_RETURN_IF_ERROR(write_file_atomically(target / name, *contents));
    any = true;
  }
  if (!any) return not_found("{}: expected tokenizer.json or tokenizer.model, found neither", source.string());
  return {};
}

}  // namespace

std::span<const SyntheticShape> synthetic_shapes() { return kShapes; }

Result<SyntheticShape> find_synthetic_shape(std::string_view name) {
  std::string names;
  for (const SyntheticShape& shape : kShapes) {
    if (shape.name == name) return shape;
    names += (names.empty() ? "" : ", ") + std::string(shape.name);
  }
  return invalid_argument("shape '{}': expected one of {}", name, names);
}

std::vector<SyntheticTensor> synthetic_tensors(const SyntheticShape& shape, int64_t blocks) {
  const double embedding_deviation = 1;  // hidden states begin at the size that the norms would give them
  std::vector<SyntheticTensor> tensors = {
      {"model.embed_tokens.weight", {shape.vocab_size, shape.hidden_size}, embedding_deviation}};
  for (int64_t block = 0; block < blocks; ++block) add_block(shape, block, tensors);
  tensors.push_back({"model.norm.weight", {shape.hidden_size}});
  if (!shape.tied) {
    const double deviation = 1 / std::sqrt(static_cast<double>(shape.hidden_size));
    tensors.push_back({"lm_head.weight", {shape.vocab_size, shape.hidden_size}, deviation});
  }
  return tensors;
}

void fill_synthetic(const SyntheticTensor& tensor, uint64_t seed, int64_t first, std::span<bf16> values) {
  if (tensor.deviation == 0) {
    std::fill(values.begin(), values.end(), to_bf16(1.0f));
    return;
  }
  constexpr int64_t kPiece = 1 << 16;
  const uint64_t base = tensor_seed(tensor.name, seed);
  const auto deviation = static_cast<float>(tensor.deviation);
  const auto count = static_cast<int64_t>(values.size());
  parallel_for(ceil_div(count, kPiece), [&](int64_t piece, int) {
    for (int64_t i = piece * kPiece; i < std::min(count, (piece + 1) * kPiece); ++i) {
      const uint64_t place = base + 2 * static_cast<uint64_t>(first + i);
      values[i] = to_bf16(nearly_normal(mix(place), mix(place + 1)) * deviation);
    }
  });
}

Json synthetic_config(const SyntheticShape& shape, int64_t blocks) {
  return {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"torch_dtype", "bfloat16"},
      {"hidden_size", shape.hidden_size},
      {"intermediate_size", shape.intermediate_size},
      {"num_hidden_layers", blocks},
      {"num_attention_heads", shape.num_heads},
      {"num_key_value_heads", shape.num_kv_heads},
      {"head_dim", shape.head_dim},
      {"vocab_size", shape.vocab_size},
      {"max_position_embeddings", shape.max_positions},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", shape.rope_theta},
      {"hidden_act", "silu"},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"tie_word_embeddings", shape.tied},
      {"bos_token_id", 1},
      {"eos_token_id", 2},
  };
}

Result<Checkpoint> synthetic_checkpoint(const SyntheticShape& shape, int64_t blocks, uint64_t seed) {
  Checkpoint checkpoint;
  checkpoint.path = checkpoint.config_label = std::string(shape.name);
  checkpoint.config = synthetic_config(shape, blocks);
  for (const SyntheticTensor& tensor : synthetic_tensors(shape, blocks)) {
    std::vector<bf16> values(static_cast<size_t>(element_count(tensor)));
    fill_synthetic(tensor, seed, 0, values);
    const auto bytes = std::as_bytes(std::span(values));
    ESPARSE_RETURN_IF_ERROR(
        checkpoint.tensors.add_owned(tensor.name, DType::bf16, tensor.shape, {bytes.begin(), bytes.end()}));
  }
  return checkpoint;
}

Status write_synthetic_model(const SyntheticShape& shape, const SyntheticOptions& options,
                             const std::filesystem::path& directory) {
  const int64_t blocks = options.blocks == 0 ? shape.blocks : options.blocks;
  if (blocks < 1 || blocks > shape.blocks) {
    return invalid_argument("blocks: expected 1 to {} for {}, got {}", shape.blocks, shape.name, blocks);
  }
  ESPARSE_ASSIGN_OR_RETURN(OutputDirectory output, OutputDirectory::create(directory, options.force));
  if (!options.tokenizer.empty()) ESPARSE_RETURN_IF_ERROR(copy_tokenizer(options.tokenizer, output.path()));
  const std::string config = synthetic_config(shape, blocks).dump(2) + "\n";
  ESPARSE_RETURN_IF_ERROR(write_file_atomically(output.path() / "config.json", config));
  const auto shards = cut_into_shards(synthetic_tensors(shape, blocks), options.shard_bytes);
  std::map<std::string, std::string> weight_map;
  int64_t total_bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(static_cast<int64_t>(i), static_cast<int64_t>(shards.size()));
    ESPARSE_RETURN_IF_ERROR(write_shard(output.path() / name, shards[i], options.seed));
    for (const SyntheticTensor& tensor : shards[i]) {
      weight_map[tensor.name] = name;
      total_bytes += element_count(tensor) * dtype_bytes(DType::bf16);
    }
  }
  ESPARSE_RETURN_IF_ERROR(write_shard_index(output.path(), weight_map, total_bytes));
  return output.commit();
}

}  // namespace esparse
