#include "text/json_tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "io/json.h"
#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/decoders.h"
#include "text/normalizers.h"
#include "text/post_processors.h"
#include "text/pre_tokenizers.h"
#include "text/unicode.h"

namespace esparse {
namespace {

// The steps in the order in which a text takes them.
struct Parts {
  AddedTokens added;
  Normalizers normalizers;
  PreTokenizers pre_tokenizers;
  BpeModel model;
  SpecialFrame frame;
  Decoders decoders;
};

Result<Parts> parse_parts(const Json& document, const std::string& file) {
  const auto label = [&file](const char* field) { return fmt::format("{}: {}", file, field); };
  const JsonFields fields(document, file);
  if (!document.is_object() || !fields.has("model")) return corruption("{}: key \"model\" is missing", file);
  ESPARSE_ASSIGN_OR_RETURN(BpeModel model, BpeModel::parse(fields.raw("model"), label("model")));
  ESPARSE_ASSIGN_OR_RETURN(Normalizers normalizers, parse_normalizers(fields.raw("normalizer"), label("normalizer")));
  ESPARSE_ASSIGN_OR_RETURN(AddedTokens added,
                           AddedTokens::parse(fields.raw("added_tokens"), label("added_tokens"), model, normalizers));
  ESPARSE_ASSIGN_OR_RETURN(PreTokenizers pre_tokenizers,
                           parse_pre_tokenizers(fields.raw("pre_tokenizer"), label("pre_tokenizer")));
  ESPARSE_ASSIGN_OR_RETURN(SpecialFrame frame,
                           parse_post_processor(fields.raw("post_processor"), label("post_processor")));
  ESPARSE_ASSIGN_OR_RETURN(Decoders decoders, parse_decoders(fields.raw("decoder"), label("decoder")));
  return Parts{std::move(added), std::move(normalizers), std::move(pre_tokenizers),
               std::move(model), std::move(frame),       std::move(decoders)};
}

class JsonTokenizer final : public Tokenizer {
 public:
  JsonTokenizer(std::string label, Parts parts, const TokenizerConfig& config)
      : label_(std::move(label)), parts_(std::move(parts)) {
    if (config.eos_token) eos_ = token_id(*config.eos_token);
  }

  Status check_frame() const {
    for (const std::vector<int32_t>* side : {&parts_.frame.before, &parts_.frame.after}) {
      for (const int32_t id : *side) {
        if (token(id) == nullptr) return corruption("{}: post_processor: id {} is not in the vocabulary", label_, id);
      }
    }
    return {};
  }

  Result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const override {
    const std::string repaired = is_valid_utf8(text) ? std::string() : repair_utf8(text);
    if (!repaired.empty()) text = repaired;
    ESPARSE_ASSIGN_OR_RETURN(std::vector<Piece> pieces, parts_.added.split(text, parts_.normalizers));
    ESPARSE_RETURN_IF_ERROR(pre_tokenize(parts_.pre_tokenizers, pieces));
    std::vector<int32_t> ids;
    if (add_special) ids = parts_.frame.before;
    ESPARSE_RETURN_IF_ERROR(encode_pieces(pieces, ids));
    if (add_special) ids.insert(ids.end(), parts_.frame.after.begin(), parts_.frame.after.end());
    return ids;
  }

  Result<std::string> decode(std::span<const int32_t> ids) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const int32_t id : ids) {
      const std::string* text = token(id);
      if (text == nullptr) {
        return invalid_argument("{}: token id {} is not in the vocabulary (ids below {})", label_, id, vocab_size());
      }
      tokens.push_back(*text);
    }
    return decode_tokens(parts_.decoders, std::move(tokens));
  }

  int64_t vocab_size() const override { return std::max(parts_.model.id_limit(), parts_.added.id_limit()); }

  std::optional<int32_t> bos_id() const override {
    if (parts_.frame.before.empty()) return std::nullopt;
    return parts_.frame.before.front();
  }

  std::optional<int32_t> eos_id() const override { return eos_; }

 private:
  std::optional<int32_t> token_id(std::string_view content) const {
    const std::optional<int32_t> id = parts_.added.token_id(content);
    return id ? id : parts_.model.token_id(content);
  }

  const std::string* token(int32_t id) const {
    const std::string* content = parts_.added.token(id);
    return content != nullptr ? content : parts_.model.token(id);
  }

  // Words repeat: the ids of one that was seen in this text are copied from where they stand in `ids`.
  Status encode_pieces(const std::vector<Piece>& pieces, std::vector<int32_t>& ids) const {
    std::unordered_map<std::string_view, std::pair<size_t, size_t>> seen;
    for (const Piece& piece : pieces) {
      if (!piece.is_text()) {
        ids.push_back(piece.id);
        continue;
      }
      const auto [entry, fresh] = seen.try_emplace(piece.text, ids.size(), size_t{0});
      auto& [begin, count] = entry->second;
      if (fresh) {
        ESPARSE_RETURN_IF_ERROR(parts_.model.tokenize(piece.text, ids));
        count = ids.size() - begin;
      } else {
        for (size_t i = 0; i < count; ++i) ids.push_back(ids[begin + i]);
      }
    }
    return {};
  }

  std::string label_;
  Parts parts_;
  std::optional<int32_t> eos_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_json_tokenizer(const std::filesystem::path& file,
                                                       const TokenizerConfig& config) {
  ESPARSE_ASSIGN_OR_RETURN(const Json document, read_json(file));
  ESPARSE_ASSIGN_OR_RETURN(Parts parts, parse_parts(document, file.string()));
  auto tokenizer = std::make_unique<JsonTokenizer>(file.string(), std::move(parts), config);
  ESPARSE_RETURN_IF_ERROR(tokenizer->check_frame());
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace esparse
