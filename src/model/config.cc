#include "model/config.h"

#include <array>

#include "io/quote_name.h"

namespace esparse {
namespace {

// Beyond these a file is damaged; bounding them keeps every product within 64 bits, and what is allocated before the
// tensors are looked at (layers, rotary frequencies) small.
constexpr int64_t kMaxDimension = int64_t{1} << 30;
constexpr int64_t kMaxLayers = 1 << 12;
constexpr int64_t kMaxHeadDim = 1 << 14;

Result<int64_t> dimension(const JsonFields& fields, std::string_view key, int64_t fallback = -1,
                          int64_t largest = kMaxDimension) {
  ESPARSE_ASSIGN_OR_RETURN(const int64_t value, fallback < 0 ? fields.integer(key) : fields.integer(key, fallback));
  if (value < 1 || value > largest)
    return invalid_argument("{}: {}: expected 1 to {}, got {}", fields.label(), key, largest, value);
  return value;
}

Status parse_eos(const JsonFields& fields, ModelConfig& config) {
  const Json& eos = fields.raw("eos_token_id");
  const Json list = eos.is_array() ? eos : eos.is_null() ? Json::array() : Json::array({eos});
  for (const Json& id : list) {
    if (!id.is_number_integer())
      return invalid_argument("{}: eos_token_id: expected an integer, got {}", fields.label(), id.type_name());
    config.eos_ids.push_back(id.get<int64_t>());
  }
  return {};
}

Status parse_sizes(const JsonFields& fields, ModelConfig& config) {
  ESPARSE_ASSIGN_OR_RETURN(config.vocab_size, dimension(fields, "vocab_size"));
  ESPARSE_ASSIGN_OR_RETURN(config.hidden_size, dimension(fields, "hidden_size"));
  ESPARSE_ASSIGN_OR_RETURN(config.num_layers, dimension(fields, "num_hidden_layers", -1, kMaxLayers));
  ESPARSE_ASSIGN_OR_RETURN(config.num_heads, dimension(fields, "num_attention_heads"));
  ESPARSE_ASSIGN_OR_RETURN(config.max_positions, dimension(fields, "max_position_embeddings", 2048));
  config.num_kv_heads = config.num_heads;
  if (!fields.has("head_dim") && config.hidden_size % config.num_heads != 0)
    return invalid_argument("{}: hidden_size {} is not a multiple of num_attention_heads {}", fields.label(),
                            config.hidden_size, config.num_heads);
  config.head_dim = config.hidden_size / config.num_heads;
  return {};
}

Status parse_activation(const JsonFields& fields, std::string_view key, std::string_view fallback,
                        std::initializer_list<Activation> allowed, ModelConfig& config) {
  constexpr std::array<std::pair<std::string_view, Activation>, 3> kNames = {
      {{"silu", Activation::silu}, {"relu", Activation::relu}, {"gelu", Activation::gelu}}};
  ESPARSE_ASSIGN_OR_RETURN(const std::string name, fields.string(key, fallback));
  for (const auto& [known, activation] : kNames)
    if (known == name)
      for (Activation one : allowed)
        if (one == activation) {
          config.activation = activation;
          return {};
        }
  return unsupported("{}: {}: '{}' is not supported for {}", fields.label(), key, name, config.model_type);
}

// Which layers slide: layer_types names each one (transformers 4.53 and later); older configs have one rule per family.
Status parse_windows(const JsonFields& fields, ModelConfig& config) {
  config.layer_windows.assign(config.num_layers, 0);
  const bool is_mistral = config.model_type == "mistral";
  const bool is_qwen = config.model_type == "qwen2" || config.model_type == "qwen3";
  ESPARSE_ASSIGN_OR_RETURN(const bool use_window, fields.boolean("use_sliding_window", is_mistral));
  const bool slides = (is_mistral || (is_qwen && use_window)) && fields.has("sliding_window");
  int64_t window = 0;
  if (slides) {
    ESPARSE_ASSIGN_OR_RETURN(window, dimension(fields, "sliding_window"));
  }
  if (const Json& types = fields.raw("layer_types"); !types.is_null()) {
    if (!types.is_array() || static_cast<int64_t>(types.size()) != config.num_layers)
      return invalid_argument("{}: layer_types: expected {} names, got {}", fields.label(), config.num_layers,
                              types.dump());
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      if (types[layer] == "sliding_attention") {
        if (!slides)
          return invalid_argument("{}: layer_types: layer {} slides, but there is no sliding_window in use",
                                  fields.label(), layer);
        config.layer_windows[layer] = window;
      } else if (types[layer] != "full_attention") {
        return unsupported("{}: layer_types: expected full_attention or sliding_attention, got {}", fields.label(),
                           types[layer].dump());
      }
    }
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(const int64_t first_sliding, fields.integer("max_window_layers", is_qwen ? 28 : 0));
  for (int64_t layer = 0; slides && layer < config.num_layers; ++layer)
    if (is_mistral || layer >= first_sliding) config.layer_windows[layer] = window;
  return {};
}

Status parse_llama_family(const JsonFields& fields, ModelConfig& config) {
  config.family = Family::llama;
  ESPARSE_ASSIGN_OR_RETURN(config.intermediate_size, dimension(fields, "intermediate_size"));
  ESPARSE_ASSIGN_OR_RETURN(config.num_kv_heads, dimension(fields, "num_key_value_heads", config.num_heads));
  const int64_t usual_head_dim =
      config.model_type == "qwen3" || config.model_type == "seed_oss" ? 128 : config.head_dim;
  ESPARSE_ASSIGN_OR_RETURN(config.head_dim, dimension(fields, "head_dim", usual_head_dim, kMaxHeadDim));
  if (config.num_heads % config.num_kv_heads != 0)
    return invalid_argument("{}: num_attention_heads {} is not a multiple of num_key_value_heads {}", fields.label(),
                            config.num_heads, config.num_kv_heads);
  if (config.head_dim % 2 != 0)
    return invalid_argument("{}: head_dim: expected an even number, got {}", fields.label(), config.head_dim);
  ESPARSE_RETURN_IF_ERROR(parse_activation(fields, "hidden_act", "silu", {Activation::silu}, config));

  // Defaults as transformers has them per model type.
  const bool is_seed = config.model_type == "seed_oss", is_qwen2 = config.model_type == "qwen2";
  ESPARSE_ASSIGN_OR_RETURN(const bool attention_bias, fields.boolean("attention_bias", is_seed));
  config.qkv_bias = is_qwen2 || attention_bias;
  const bool o_follows = !is_seed && !is_qwen2 && attention_bias;
  ESPARSE_ASSIGN_OR_RETURN(config.o_bias, fields.boolean("attention_out_bias", o_follows));
  ESPARSE_ASSIGN_OR_RETURN(config.mlp_bias, fields.boolean("mlp_bias", false));
  config.qk_norm = config.model_type == "qwen3";
  ESPARSE_ASSIGN_OR_RETURN(const double eps, fields.number("rms_norm_eps", 1e-6));
  config.norm_eps = static_cast<float>(eps);
  ESPARSE_ASSIGN_OR_RETURN(config.tie_embeddings, fields.boolean("tie_word_embeddings", false));
  ESPARSE_RETURN_IF_ERROR(parse_windows(fields, config));
  ESPARSE_ASSIGN_OR_RETURN(config.rope, parse_rope(fields, config.head_dim, config.max_positions));
  config.embed_size = config.hidden_size;
  return {};
}

Status parse_opt(const JsonFields& fields, ModelConfig& config) {
  config.family = Family::opt;
  ESPARSE_ASSIGN_OR_RETURN(config.intermediate_size, dimension(fields, "ffn_dim"));
  ESPARSE_ASSIGN_OR_RETURN(config.embed_size, dimension(fields, "word_embed_proj_dim", config.hidden_size));
  ESPARSE_RETURN_IF_ERROR(
      parse_activation(fields, "activation_function", "relu", {Activation::relu, Activation::gelu}, config));
  ESPARSE_ASSIGN_OR_RETURN(const bool bias, fields.boolean("enable_bias", true));
  config.qkv_bias = config.o_bias = config.mlp_bias = bias;
  ESPARSE_ASSIGN_OR_RETURN(config.norm_before, fields.boolean("do_layer_norm_before", true));
  ESPARSE_ASSIGN_OR_RETURN(config.norm_affine, fields.boolean("layer_norm_elementwise_affine", true));
  ESPARSE_ASSIGN_OR_RETURN(const bool removed, fields.boolean("_remove_final_layer_norm", false));
  config.final_norm = config.norm_before && !removed;
  ESPARSE_ASSIGN_OR_RETURN(config.tie_embeddings, fields.boolean("tie_word_embeddings", true));
  config.layer_windows.assign(config.num_layers, 0);
  return {};
}

}  // namespace

Result<ModelConfig> parse_model_config(const Json& json, const std::string& label) {
  if (!json.is_object()) return invalid_argument("{}: expected a JSON object", label);
  const JsonFields fields(json, label);
  ModelConfig config;
  ESPARSE_ASSIGN_OR_RETURN(config.model_type, fields.string("model_type"));
  constexpr std::array<std::string_view, 5> kLlamaTypes = {"llama", "mistral", "qwen2", "qwen3", "seed_oss"};
  bool is_llama = false;
  for (std::string_view type : kLlamaTypes) is_llama |= type == config.model_type;
  if (!is_llama && config.model_type != "opt")
    return unsupported("{}: model_type: expected one of llama, mistral, qwen2, qwen3, seed_oss, opt; got {}", label,
                       quote_name(config.model_type));
  if (fields.has("quantization_config"))
    return unsupported(
        "{}: quantization_config: quantised checkpoints are not supported, expected f32, f16 or bf16 weights", label);
  ESPARSE_RETURN_IF_ERROR(parse_sizes(fields, config));
  ESPARSE_RETURN_IF_ERROR(parse_eos(fields, config));
  ESPARSE_RETURN_IF_ERROR(is_llama ? parse_llama_family(fields, config) : parse_opt(fields, config));
  return config;
}

}  // namespace esparse
