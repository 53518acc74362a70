#include "text/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include "io/files.h"
#include "text/sentencepiece_guard.h"
#include "text/unicode.h"

namespace esparse {
namespace {

constexpr int64_t kMaxModelBytes = int64_t{1} << 28;  // the largest published models are around 5 MB

class SentencePieceTokenizer final : public Tokenizer {
 public:
  Status load(const std::filesystem::path& file, const TokenizerConfig& config);

  Result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const override;
  Result<std::string> decode(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::optional<int32_t> bos_id() const override { return add_bos_ ? bos_ : std::nullopt; }
  std::optional<int32_t> eos_id() const override { return eos_; }

 private:
  std::optional<int32_t> special_id(const std::optional<std::string>& name, int fallback) const;
  size_t cut_tail_ids(std::span<const int32_t> ids, std::string& tail) const;
  std::optional<uint8_t> byte_of(int32_t id) const;

  sentencepiece::SentencePieceProcessor processor_;
  std::optional<int32_t> bos_;
  std::optional<int32_t> eos_;
  bool add_bos_ = false;
  bool add_eos_ = false;
  std::string label_;
};

Status SentencePieceTokenizer::load(const std::filesystem::path& file, const TokenizerConfig& config) {
  label_ = file.string();
  ESPARSE_ASSIGN_OR_RETURN(const std::string bytes, read_file(file, kMaxModelBytes));
  ESPARSE_RETURN_IF_ERROR(check_normalization_tables(bytes, label_));
  const auto status = processor_.LoadFromSerializedProto(bytes);
  if (!status.ok()) return corruption("{}: not a valid SentencePiece model: {}", label_, status.error_message());
  bos_ = special_id(config.bos_token, processor_.bos_id());
  eos_ = special_id(config.eos_token, processor_.eos_id());
  add_bos_ = config.add_bos_token.value_or(true) && bos_.has_value();
  add_eos_ = config.add_eos_token.value_or(false);
  if (add_eos_ && !eos_) return corruption("{}: add_eos_token is set, but the model has no EOS", label_);
  return {};
}

std::optional<int32_t> SentencePieceTokenizer::special_id(const std::optional<std::string>& name, int fallback) const {
  if (name) {
    // An unknown name gives the id of the unknown piece.
    const int id = processor_.PieceToId(*name);
    if (id >= 0 && id < processor_.GetPieceSize() && processor_.IdToPiece(id) == *name) return id;
  }
  if (fallback < 0) return std::nullopt;
  return fallback;
}

Result<std::vector<int32_t>> SentencePieceTokenizer::encode(std::string_view text, bool add_special) const {
  const std::string repaired = is_valid_utf8(text) ? std::string() : repair_utf8(text);
  std::vector<int> pieces;
  const auto status = processor_.Encode(repaired.empty() ? text : std::string_view(repaired), &pieces);
  if (!status.ok()) return internal_error("{}: cannot encode: {}", label_, status.error_message());
  if (!add_special) return pieces;
  if (add_bos_) pieces.insert(pieces.begin(), *bos_);
  if (add_eos_) pieces.push_back(*eos_);
  return pieces;
}

std::optional<uint8_t> SentencePieceTokenizer::byte_of(int32_t id) const {
  if (!processor_.IsByte(id)) return std::nullopt;
  return static_cast<uint8_t>(std::stoi(processor_.IdToPiece(id).substr(3, 2), nullptr, 16));  // "<0xHH>"
}

// How many byte pieces at the end spell the beginning of a character; `tail` receives those bytes.
size_t SentencePieceTokenizer::cut_tail_ids(std::span<const int32_t> ids, std::string& tail) const {
  std::string last;
  for (size_t i = ids.size(); i > 0 && last.size() < 3; --i) {
    const std::optional<uint8_t> byte = byte_of(ids[i - 1]);
    if (!byte) break;
    last.insert(last.begin(), static_cast<char>(*byte));
  }
  const size_t count = cut_tail_bytes(last);
  tail = last.substr(last.size() - count);
  return count;
}

Result<std::string> SentencePieceTokenizer::decode(std::span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) {
      return invalid_argument("{}: token id {} is outside the vocabulary of {}", label_, id, vocab_size());
    }
  }
  // The library writes U+FFFD for a character that is cut short; here its bytes stay, because more may follow.
  std::string tail;
  const size_t cut = cut_tail_ids(ids, tail);
  std::string text;
  const auto status = processor_.Decode(std::vector<int>(ids.begin(), ids.end() - static_cast<ptrdiff_t>(cut)), &text);
  if (!status.ok()) return internal_error("{}: cannot decode: {}", label_, status.error_message());
  return text + tail;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_sentencepiece(const std::filesystem::path& file,
                                                      const TokenizerConfig& config) {
  auto tokenizer = std::make_unique<SentencePieceTokenizer>();
  ESPARSE_RETURN_IF_ERROR(tokenizer->load(file, config));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace esparse
