#include "io/llama2c.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "io/safetensors_bytes.h"
#include "support/status_testing.h"
#include "support/temp_dir.h"

namespace esparse {
namespace {

// dim 8, hidden 6, 2 layers, 2 heads of 4, 1 key/value head, vocabulary 5, 3 positions.
struct Header {
  int32_t dim = 8, hidden_dim = 6, n_layers = 2, n_heads = 2, n_kv_heads = 1, vocab_size = 5, seq_len = 3;
};

// Floats behind the header, without the classifier: embedding 40, norms 2 x 16, q and o 2 x 128, k and v 2 x 64,
// gate, down and up 3 x 96, final norm 8, frequencies 2 x 6.
constexpr int kFloats = 40 + 2 * 16 + 2 * 128 + 2 * 64 + 3 * 96 + 8 + 2 * 6;
constexpr int kClassifierFloats = 40;

// Float number i of the file has the value i.
std::string file_text(const Header& header, int floats) {
  std::string text(sizeof(Header) + static_cast<size_t>(floats) * sizeof(float), '\0');
  std::memcpy(text.data(), &header, sizeof(Header));
  for (int i = 0; i < floats; ++i) {
    const auto value = static_cast<float>(i);
    std::memcpy(text.data() + sizeof(Header) + static_cast<size_t>(i) * sizeof(float), &value, sizeof(float));
  }
  return text;
}

class Llama2cTest : public testing::Test {
 protected:
  Result<Checkpoint> open(const std::string& text) {
    write_text(dir_ / "m.bin", text);
    return open_llama2c(dir_ / "m.bin");
  }
  TempDir dir_;
};

std::vector<float> floats_of(const Checkpoint& checkpoint, const std::string& name, const std::vector<int64_t>& shape) {
  const auto tensor = checkpoint.tensors.get(name, shape);
  EXPECT_OK(tensor);
  if (!tensor.ok()) return {};
  EXPECT_EQ(tensor->dtype, DType::f32);
  std::vector<float> values(static_cast<size_t>(tensor->element_count()));
  convert_to_f32(tensor->dtype, tensor->data.data(), values);
  return values;
}

std::vector<float> count_from(int first, int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<float>(first + i));
  return values;
}

TEST_F(Llama2cTest, TensorsLieWhereTheFormatSays) {
  const auto checkpoint = open(file_text({}, kFloats));
  ASSERT_OK(checkpoint);
  EXPECT_EQ(floats_of(*checkpoint, "model.embed_tokens.weight", {5, 8}), count_from(0, 40));
  // Offsets of each run, worked out by hand; layer 1 follows layer 0 within the run.
  const std::string layer = "model.layers.1.";
  EXPECT_EQ(floats_of(*checkpoint, layer + "input_layernorm.weight", {8}), count_from(40 + 8, 8));
  EXPECT_EQ(floats_of(*checkpoint, layer + "self_attn.v_proj.weight", {4, 8}), count_from(248 + 32, 32));
  EXPECT_EQ(floats_of(*checkpoint, layer + "self_attn.o_proj.weight", {8, 8}), count_from(312 + 64, 64));
  EXPECT_EQ(floats_of(*checkpoint, layer + "post_attention_layernorm.weight", {8}), count_from(440 + 8, 8));
  EXPECT_EQ(floats_of(*checkpoint, layer + "mlp.gate_proj.weight", {6, 8}), count_from(456 + 48, 48));
  EXPECT_EQ(floats_of(*checkpoint, layer + "mlp.down_proj.weight", {8, 6}), count_from(552 + 48, 48));
  EXPECT_EQ(floats_of(*checkpoint, layer + "mlp.up_proj.weight", {6, 8}), count_from(648 + 48, 48));
  EXPECT_EQ(floats_of(*checkpoint, "model.norm.weight", {8}), count_from(744, 8));
  EXPECT_EQ(checkpoint->tensors.tensors().size(), 2u + 2u * 9u);
  EXPECT_EQ(checkpoint->directory, dir_.path());
}

TEST_F(Llama2cTest, RowsOfQueryAndKeyAreReordered) {
  const auto checkpoint = open(file_text({}, kFloats));
  ASSERT_OK(checkpoint);
  const auto q = floats_of(*checkpoint, "model.layers.0.self_attn.q_proj.weight", {8, 8});
  const auto k = floats_of(*checkpoint, "model.layers.1.self_attn.k_proj.weight", {4, 8});
  // Within a head of four rows: first members of the pairs (0, 2), then second members (1, 3).
  const int source_row[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (int row = 0; row < 8; ++row) {
    const std::vector<float> got(q.begin() + row * 8, q.begin() + row * 8 + 8);
    EXPECT_EQ(got, count_from(56 + source_row[row] * 8, 8)) << row;
  }
  for (int row = 0; row < 4; ++row) {
    const std::vector<float> got(k.begin() + row * 8, k.begin() + row * 8 + 8);
    EXPECT_EQ(got, count_from(184 + 32 + source_row[row] * 8, 8)) << row;
  }
}

// Scores of adjacent-pair rotation on the file's rows equal those of rotate-half on the reordered rows.
TEST_F(Llama2cTest, BothRotationsGiveTheSameScores) {
  const auto checkpoint = open(file_text({}, kFloats));
  ASSERT_OK(checkpoint);
  const auto q = floats_of(*checkpoint, "model.layers.0.self_attn.q_proj.weight", {8, 8});
  const auto k = floats_of(*checkpoint, "model.layers.0.self_attn.k_proj.weight", {4, 8});
  auto rotate = [](double* x, int first, int second, double angle) {
    const double a = x[first], b = x[second];
    x[first] = a * std::cos(angle) - b * std::sin(angle);
    x[second] = a * std::sin(angle) + b * std::cos(angle);
  };
  // Rows of the file: float i has the value i, q begins at 56 and k at 184. The input picks column 0.
  double file_q[4], file_k[4], half_q[4], half_k[4];
  for (int row = 0; row < 4; ++row) {
    file_q[row] = 56 + row * 8, file_k[row] = 184 + row * 8;
    half_q[row] = q[static_cast<size_t>(row) * 8], half_k[row] = k[static_cast<size_t>(row) * 8];
  }
  const double frequency[] = {1.0, 0.01};  // 10000^(-2i/4)
  for (int pair = 0; pair < 2; ++pair) {
    rotate(file_q, 2 * pair, 2 * pair + 1, 5 * frequency[pair]);
    rotate(file_k, 2 * pair, 2 * pair + 1, 3 * frequency[pair]);
    rotate(half_q, pair, pair + 2, 5 * frequency[pair]);
    rotate(half_k, pair, pair + 2, 3 * frequency[pair]);
  }
  double file_score = 0, half_score = 0;
  for (int i = 0; i < 4; ++i) file_score += file_q[i] * file_k[i], half_score += half_q[i] * half_k[i];
  EXPECT_NEAR(half_score, file_score, 1e-9 * std::abs(file_score));
}

TEST_F(Llama2cTest, ConfigDescribesALlama) {
  const auto checkpoint = open(file_text({}, kFloats));
  ASSERT_OK(checkpoint);
  const JsonFields config(checkpoint->config, checkpoint->config_label);
  EXPECT_EQ(config.string("model_type").value(), "llama");
  EXPECT_EQ(config.raw("architectures"), Json::array({"LlamaForCausalLM"}));
  const std::map<std::string, int64_t> expected = {
      {"hidden_size", 8},         {"intermediate_size", 6}, {"num_hidden_layers", 2},       {"num_attention_heads", 2},
      {"num_key_value_heads", 1}, {"vocab_size", 5},        {"max_position_embeddings", 3}, {"bos_token_id", 1},
      {"eos_token_id", 2}};
  for (const auto& [key, value] : expected) EXPECT_EQ(config.integer(key).value(), value) << key;
  EXPECT_EQ(config.number("rms_norm_eps").value(), 1e-5);
  EXPECT_EQ(config.number("rope_theta").value(), 10000.0);
  EXPECT_EQ(config.string("hidden_act").value(), "silu");
  EXPECT_TRUE(config.boolean("tie_word_embeddings", false).value());
}

TEST_F(Llama2cTest, NegativeVocabularyMeansAClassifierOfItsOwn) {
  Header header;
  header.vocab_size = -5;
  const auto checkpoint = open(file_text(header, kFloats + kClassifierFloats));
  ASSERT_OK(checkpoint);
  EXPECT_EQ(floats_of(*checkpoint, "lm_head.weight", {5, 8}), count_from(kFloats, 40));
  EXPECT_EQ(checkpoint->config.at("vocab_size"), 5);
  EXPECT_EQ(checkpoint->config.at("tie_word_embeddings"), false);
  EXPECT_FAILURE(open(file_text(header, kFloats)), StatusKind::corruption, "cut short?");
}

TEST_F(Llama2cTest, EveryPrefixIsRefused) {
  const std::string text = file_text({}, kFloats);
  for (size_t length = 0; length < text.size(); length += length < 64 ? 1 : 97) {
    EXPECT_FAILURE(open(text.substr(0, length)), StatusKind::corruption, "m.bin: expected ") << length;
  }
}

TEST_F(Llama2cTest, RefusesWrongSizeAndNamesBoth) {
  EXPECT_FAILURE(open(file_text({}, kFloats) + "x"), StatusKind::corruption,
                 fmt::format("expected {} bytes for dim 8, hidden_dim 6, n_layers 2, vocab_size 5, got {}",
                             28 + 4 * kFloats, 28 + 4 * kFloats + 1));
}

TEST_F(Llama2cTest, RefusesBadDimensions) {
  const char* names[] = {"dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
  for (size_t field = 0; field < 7; ++field) {
    for (const int32_t value : {0, -1, INT32_MIN}) {
      std::string text = file_text({}, kFloats);
      std::memcpy(text.data() + field * 4, &value, 4);
      const auto checkpoint = open(text);
      const bool negative_vocabulary = field == 5 && value != 0;
      EXPECT_FAILURE(checkpoint, StatusKind::corruption,
                     negative_vocabulary ? "cut short?"
                                         : fmt::format("{}: expected a positive number, got {}", names[field], value));
    }
  }
}

TEST_F(Llama2cTest, RefusesAbsurdDimensions) {
  Header header{INT32_MAX - 1, INT32_MAX, INT32_MAX, 1, 1, INT32_MAX, INT32_MAX};
  EXPECT_FAILURE(open(file_text(header, 10)), StatusKind::corruption, "expected over 2^63 bytes");
}

TEST_F(Llama2cTest, RefusesHeadsThatDoNotFit) {
  for (const auto& [heads, kv_heads] : {std::pair{3, 1}, std::pair{8, 1}, std::pair{2, 3}, std::pair{16, 1}}) {
    Header header;
    header.n_heads = heads, header.n_kv_heads = kv_heads;
    EXPECT_FAILURE(open(file_text(header, kFloats)), StatusKind::corruption, fmt::format("n_heads {}", heads)) << heads;
  }
}

TEST_F(Llama2cTest, RefusesLaterVersions) {
  EXPECT_FAILURE(open("24ka" + std::string(300, '\0')), StatusKind::unsupported, "version 0");
}

}  // namespace
}  // namespace esparse
