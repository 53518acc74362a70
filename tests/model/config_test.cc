// What config.json asks for and we lack is refused by name; defaults are those of transformers.
#include "model/config.h"

#include <gtest/gtest.h>

#include "support/status_testing.h"

namespace esparse {
namespace {

Json llama_config() {
  return {{"model_type", "llama"},      {"vocab_size", 96},      {"hidden_size", 32}, {"intermediate_size", 64},
          {"num_hidden_layers", 2},     {"rms_norm_eps", 1e-5},  {"num_attention_heads", 4},
          {"max_position_embeddings", 64}};
}

struct Refusal {
  const char* name;
  Json patch;  // merged into llama_config()
  StatusKind kind;
  const char* part;
};

std::vector<Refusal> refusals() {
  const auto bad = StatusKind::invalid_argument;
  const auto lacking = StatusKind::unsupported;
  return {
      {"UnknownModelType", {{"model_type", "mamba"}}, lacking, "\"mamba\""},
      {"Quantised", {{"quantization_config", {{"bits", 4}}}}, lacking, "quantization_config"},
      {"Activation", {{"hidden_act", "gelu_new"}}, lacking, "gelu_new"},
      {"RopeType", {{"rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}}}, lacking, "longrope"},
      {"DynamicRope", {{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}}, lacking, "dynamic"},
      {"PartialRotary", {{"partial_rotary_factor", 0.5}}, lacking, "partial_rotary_factor"},
      {"LayerType", {{"layer_types", {"full_attention", "chunked_attention"}}}, lacking, "chunked_attention"},
      {"LayerTypesCount", {{"layer_types", {"full_attention"}}}, bad, "layer_types"},
      {"SlidingWithoutWindow", {{"layer_types", {"full_attention", "sliding_attention"}}}, bad, "layer 1"},
      {"ZeroLayers", {{"num_hidden_layers", 0}}, bad, "num_hidden_layers"},
      {"AbsurdLayers", {{"num_hidden_layers", 1 << 30}}, bad, "num_hidden_layers"},
      {"AbsurdHeadDim", {{"head_dim", 1 << 30}}, bad, "head_dim"},
      {"OddHeadDim", {{"head_dim", 7}}, bad, "head_dim"},
      {"NegativeHidden", {{"hidden_size", -32}}, bad, "hidden_size"},
      {"HeadsDoNotDivideHidden", {{"num_attention_heads", 5}}, bad, "num_attention_heads"},
      {"KvHeadsDoNotDivideHeads", {{"num_key_value_heads", 3}}, bad, "num_key_value_heads"},
      {"LinearWithoutFactor", {{"rope_scaling", {{"type", "linear"}}}}, StatusKind::corruption, "factor"},
      {"NegativeFactor", {{"rope_scaling", {{"type", "linear"}, {"factor", -2.0}}}}, bad, "factor"},
      {"NegativeTheta", {{"rope_theta", -1.0}}, bad, "rope_theta"},
      {"RopeScalingIsNoObject", {{"rope_scaling", "linear"}}, bad, "rope_scaling"},
      {"EosIsText", {{"eos_token_id", "end"}}, bad, "eos_token_id"},
  };
}

class ConfigRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(ConfigRefusal, NamesTheKey) {
  Json config = llama_config();
  config.update(GetParam().patch);
  const auto parsed = parse_model_config(config, "some/config.json");
  EXPECT_FAILURE(parsed, GetParam().kind, GetParam().part);
  EXPECT_FAILURE(parsed, GetParam().kind, "some/config.json");
}

INSTANTIATE_TEST_SUITE_P(All, ConfigRefusal, testing::ValuesIn(refusals()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(Config, EveryRequiredKeyIsNamedWhenMissing) {
  for (const char* key :
       {"model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"}) {
    Json config = llama_config();
    config.erase(key);
    EXPECT_FAILURE(parse_model_config(config, "config.json"), StatusKind::corruption, key);
  }
  EXPECT_FALSE(parse_model_config(Json::array(), "config.json").ok());
}

TEST(Config, DefaultsFollowTheModelType) {
  const auto llama = parse_model_config(llama_config(), "config.json");
  ASSERT_OK(llama);
  EXPECT_EQ(llama->num_kv_heads, 4);
  EXPECT_EQ(llama->head_dim, 8);
  EXPECT_FALSE(llama->qkv_bias || llama->tie_embeddings || llama->qk_norm);
  Json config = llama_config();
  config["model_type"] = "qwen2";
  EXPECT_TRUE(parse_model_config(config, "config.json")->qkv_bias);
  EXPECT_FALSE(parse_model_config(config, "config.json")->o_bias);
  config["model_type"] = "qwen3";
  const auto qwen3 = parse_model_config(config, "config.json");
  EXPECT_TRUE(qwen3->qk_norm);
  EXPECT_EQ(qwen3->head_dim, 128);
  config["model_type"] = "mistral";
  config["sliding_window"] = 16;
  EXPECT_EQ(parse_model_config(config, "config.json")->layer_windows, (std::vector<int64_t>{16, 16}));
  config["model_type"] = "qwen2";  // a window without use_sliding_window is not used
  EXPECT_EQ(parse_model_config(config, "config.json")->layer_windows, (std::vector<int64_t>{0, 0}));
  config["eos_token_id"] = {7, 9};
  EXPECT_EQ(parse_model_config(config, "config.json")->eos_ids, (std::vector<int64_t>{7, 9}));
}

}  // namespace
}  // namespace esparse
