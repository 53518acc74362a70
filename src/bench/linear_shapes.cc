#include "bench/linear_shapes.h"

#include <array>
#include <charconv>
#include <optional>

#include "bench/comma_list.h"

namespace esparse {
namespace {

struct ModelShapes {
  std::string_view name;
  int64_t hidden, kv, ffn;  // kv: num_kv_heads * head_dim; q and o are hidden x hidden in all of them
};

constexpr std::array kModels = {
    ModelShapes{"llama3-8b", 4096, 1024, 14336},
    ModelShapes{"qwen2.5-7b", 3584, 512, 18944},
    ModelShapes{"llama2-7b", 4096, 4096, 11008},
    ModelShapes{"llama3-70b", 8192, 1024, 28672},
};

// 2^20 is beyond any model, and keeps every product of sizes far from overflow.
constexpr int64_t kMaxFeatures = 1 << 20;

void append_model(const ModelShapes& model, std::vector<LinearShape>& shapes) {
  const std::string name(model.name);
  if (model.kv == model.hidden) {
    shapes.push_back({name + " q,k,v,o", model.hidden, model.hidden, 4});
  } else {
    shapes.push_back({name + " q,o", model.hidden, model.hidden, 2});
    shapes.push_back({name + " k,v", model.kv, model.hidden, 2});
  }
  shapes.push_back({name + " gate,up", model.ffn, model.hidden, 2});
  shapes.push_back({name + " down", model.hidden, model.ffn, 1});
}

std::optional<int64_t> parse_features(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMaxFeatures)
    return std::nullopt;
  return value;
}

Status append_shape(std::string_view text, std::vector<LinearShape>& shapes) {
  for (const ModelShapes& model : kModels)
    if (model.name == text) {
      append_model(model, shapes);
      return {};
    }
  const size_t cross = text.find('x');
  const auto rows = parse_features(text.substr(0, cross));
  const auto columns = cross == text.npos ? std::nullopt : parse_features(text.substr(cross + 1));
  if (!rows || !columns)
    return invalid_argument("--shapes: expected {} or OUTxIN with sizes from 1 to {}, got \"{}\"", known_shape_names(),
                            kMaxFeatures, text);
  shapes.push_back({std::string(text), *rows, *columns, 1});
  return {};
}

}  // namespace

std::string known_shape_names() {
  std::string names;
  for (const ModelShapes& model : kModels) names += (names.empty() ? "" : ", ") + std::string(model.name);
  return names;
}

Result<std::vector<LinearShape>> parse_linear_shapes(std::string_view text) {
  std::vector<LinearShape> shapes;
  for (const std::string_view entry : split_at_commas(text)) ESPARSE_RETURN_IF_ERROR(append_shape(entry, shapes));
  return shapes;
}

}  // namespace esparse
