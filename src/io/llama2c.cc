#include "io/llama2c.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checked.h"

namespace esparse {
namespace {

constexpr int64_t kHeaderBytes = 7 * sizeof(int32_t);
constexpr int32_t kLaterVersionMagic = 0x616b3432;  // "ak42" opens versions 1 and 2

struct Dims {
  int64_t dim = 0;
  int64_t hidden_dim = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t vocab_size = 0;
  int64_t seq_len = 0;
  bool tied = true;

  int64_t head_size() const { return dim / n_heads; }
  int64_t kv_dim() const { return head_size() * n_kv_heads; }
};

Result<Dims> parse_header(std::span<const std::byte> bytes, const std::string& label) {
  if (static_cast<int64_t>(bytes.size()) < kHeaderBytes) {
    return corruption("{}: expected a llama2.c header of {} bytes, got {}", label, kHeaderBytes, bytes.size());
  }
  std::array<int32_t, 7> fields{};
  std::memcpy(fields.data(), bytes.data(), sizeof(fields));
  if (fields[0] == kLaterVersionMagic) {
    return unsupported("{}: expected a llama2.c file of version 0, got a later version", label);
  }
  static constexpr std::array kNames = {"dim",        "hidden_dim", "n_layers", "n_heads",
                                        "n_kv_heads", "vocab_size", "seq_len"};
  Dims dims;
  const std::array targets = {&dims.dim,        &dims.hidden_dim, &dims.n_layers, &dims.n_heads,
                              &dims.n_kv_heads, &dims.vocab_size, &dims.seq_len};
  for (size_t i = 0; i < fields.size(); ++i) *targets[i] = fields[i];
  dims.tied = dims.vocab_size > 0;  // a negative size says that a classifier of its own follows
  dims.vocab_size = std::abs(dims.vocab_size);
  for (size_t i = 0; i < fields.size(); ++i) {
    if (*targets[i] <= 0) {
      return corruption("{}: {}: expected a positive number, got {} (not a llama2.c file?)", label, kNames[i],
                        fields[i]);
    }
  }
  if (dims.dim % dims.n_heads != 0 || dims.head_size() % 2 != 0 || dims.n_heads % dims.n_kv_heads != 0) {
    return corruption(
        "{}: expected even heads that divide dim, and n_kv_heads that divide n_heads; got dim {}, "
        "n_heads {}, n_kv_heads {}",
        label, dims.dim, dims.n_heads, dims.n_kv_heads);
  }
  return dims;
}

// A run of tensors in the file: one, or one per layer.
struct Section {
  std::string name;  // Hugging Face name; within the layer for a section per layer; empty for one that is skipped
  std::vector<int64_t> shape;
  bool per_layer = false;
  bool rotary = false;  // rows are reordered within each head
};

std::vector<Section> file_layout(const Dims& d) {
  std::vector<Section> sections = {
      {"model.embed_tokens.weight", {d.vocab_size, d.dim}},
      {"input_layernorm.weight", {d.dim}, true},
      {"self_attn.q_proj.weight", {d.dim, d.dim}, true, true},
      {"self_attn.k_proj.weight", {d.kv_dim(), d.dim}, true, true},
      {"self_attn.v_proj.weight", {d.kv_dim(), d.dim}, true},
      {"self_attn.o_proj.weight", {d.dim, d.dim}, true},
      {"post_attention_layernorm.weight", {d.dim}, true},
      {"mlp.gate_proj.weight", {d.hidden_dim, d.dim}, true},
      {"mlp.down_proj.weight", {d.dim, d.hidden_dim}, true},
      {"mlp.up_proj.weight", {d.hidden_dim, d.dim}, true},
      {"model.norm.weight", {d.dim}},
      {"", {d.seq_len, d.head_size() / 2}},  // freq_cis_real
      {"", {d.seq_len, d.head_size() / 2}},  // freq_cis_imag
  };
  if (!d.tied) sections.push_back({"lm_head.weight", {d.vocab_size, d.dim}});
  return sections;
}

// Bytes of the whole file; nothing when they do not fit 63 bits.
std::optional<int64_t> layout_bytes(const std::vector<Section>& sections, int64_t n_layers) {
  std::optional<int64_t> total = kHeaderBytes;
  for (const Section& section : sections) {
    std::vector<int64_t> dims = section.shape;
    dims.insert(dims.end(), {section.per_layer ? n_layers : 1, int64_t{sizeof(float)}});
    const auto bytes = checked_product(dims);
    total = bytes ? checked_add(*total, *bytes) : std::nullopt;
    if (!total) return std::nullopt;
  }
  return total;
}

// Row 2i + j of a head (pair i, member j) becomes row i + j * head_size / 2.
std::vector<std::byte> split_pairs(std::span<const std::byte> rows, int64_t row_bytes, int64_t head_size) {
  std::vector<std::byte> result(rows.size());
  const int64_t row_count = static_cast<int64_t>(rows.size()) / row_bytes;
  for (int64_t row = 0; row < row_count; ++row) {
    const int64_t head_start = row / head_size * head_size, in_head = row % head_size;
    const int64_t target = head_start + in_head / 2 + in_head % 2 * (head_size / 2);
    std::memcpy(result.data() + target * row_bytes, rows.data() + row * row_bytes, static_cast<size_t>(row_bytes));
  }
  return result;
}

Status add_tensors(TensorStore& store, std::span<const std::byte> bytes, const Dims& dims,
                   const std::vector<Section>& sections) {
  auto rest = bytes.subspan(kHeaderBytes);
  for (const Section& section : sections) {
    const auto size = static_cast<size_t>(*checked_product(section.shape)) * sizeof(float);
    for (int64_t layer = 0; layer < (section.per_layer ? dims.n_layers : 1); ++layer) {
      const auto data = rest.first(size);
      rest = rest.subspan(size);
      if (section.name.empty()) continue;
      const std::string name =
          section.per_layer ? fmt::format("model.layers.{}.{}", layer, section.name) : section.name;
      if (section.rotary) {
        auto reordered = split_pairs(data, dims.dim * int64_t{sizeof(float)}, dims.head_size());
        ESPARSE_RETURN_IF_ERROR(store.add_owned(name, DType::f32, section.shape, std::move(reordered)));
      } else {
        ESPARSE_RETURN_IF_ERROR(store.add_view({name, DType::f32, section.shape, data}));
      }
    }
  }
  return {};
}

Json llama_config(const Dims& dims) {
  return {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"torch_dtype", "float32"},
      {"hidden_size", dims.dim},
      {"intermediate_size", dims.hidden_dim},
      {"num_hidden_layers", dims.n_layers},
      {"num_attention_heads", dims.n_heads},
      {"num_key_value_heads", dims.n_kv_heads},
      {"head_dim", dims.head_size()},
      {"vocab_size", dims.vocab_size},
      {"max_position_embeddings", dims.seq_len},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 10000.0},
      {"hidden_act", "silu"},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"tie_word_embeddings", dims.tied},
      {"bos_token_id", 1},
      {"eos_token_id", 2},
  };
}

}  // namespace

Result<Checkpoint> open_llama2c(const std::filesystem::path& path) {
  ESPARSE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  const std::string label = path.string();
  ESPARSE_ASSIGN_OR_RETURN(const Dims dims, parse_header(file.bytes(), label));
  const std::vector<Section> sections = file_layout(dims);
  const auto expected = layout_bytes(sections, dims.n_layers);
  const auto got = static_cast<int64_t>(file.bytes().size());
  if (!expected || *expected != got) {
    return corruption(
        "{}: expected {} bytes for dim {}, hidden_dim {}, n_layers {}, vocab_size {}, got {} (not a "
        "llama2.c file, or cut short?)",
        label, expected ? std::to_string(*expected) : "over 2^63", dims.dim, dims.hidden_dim, dims.n_layers,
        dims.vocab_size, got);
  }
  Checkpoint checkpoint;
  checkpoint.path = path;
  checkpoint.directory = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  checkpoint.config = llama_config(dims);
  checkpoint.config_label = label;
  const auto bytes = checkpoint.tensors.adopt(std::move(file));
  ESPARSE_RETURN_IF_ERROR(add_tensors(checkpoint.tensors, bytes, dims, sections).with_context(label));
  return checkpoint;
}

}  // namespace esparse
