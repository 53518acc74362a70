#include "text/pre_tokenizers.h"

#include "text/byte_alphabet.h"
#include "text/metaspace.h"
#include "text/split.h"
#include "text/text_pattern.h"
#include "text/unicode.h"

namespace esparse {
namespace {

using Made = std::unique_ptr<const PreTokenizer>;

// The pattern of GPT-2's own encoder.
constexpr std::string_view kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

template <typename Predicate>
std::vector<TextSpan> find_characters(std::string_view text, Predicate predicate) {
  std::vector<TextSpan> matches;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (predicate(point.value)) matches.push_back({at, at + point.bytes});
    at += point.bytes;
  }
  return matches;
}

class ByteLevel final : public PreTokenizer {
 public:
  static Result<Made> parse(const JsonFields& fields) {
    auto step = std::make_unique<ByteLevel>();
    ESPARSE_ASSIGN_OR_RETURN(step->add_prefix_space_, required_boolean(fields, "add_prefix_space"));
    ESPARSE_ASSIGN_OR_RETURN(const bool use_regex, fields.boolean("use_regex", true));
    if (use_regex) {
      ESPARSE_ASSIGN_OR_RETURN(step->words_, Regex::compile(kGpt2Words, fields.label()));
    }
    return Made(std::move(step));
  }

  Status split(Piece piece, std::vector<Piece>& out) const override {
    if (add_prefix_space_ && !piece.text.starts_with(' ')) piece.text.insert(piece.text.begin(), ' ');
    if (!words_) {
      out.push_back({.text = to_byte_alphabet(piece.text), .at_start = piece.at_start});
      return {};
    }
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<TextSpan> matches, words_->find_all(piece.text));
    const std::string_view text = piece.text;
    for (const TextSpan& span : split_spans(text.size(), matches, SplitBehavior::isolated, false)) {
      out.push_back({.text = to_byte_alphabet(text.substr(span.begin, span.end - span.begin)),
                     .at_start = piece.at_start && span.begin == 0});
    }
    return {};
  }

 private:
  bool add_prefix_space_ = false;
  std::optional<Regex> words_;
};

class Split final : public PreTokenizer {
 public:
  Split(TextPattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  static Result<Made> parse(const JsonFields& fields) {
    ESPARSE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::parse(fields));
    ESPARSE_ASSIGN_OR_RETURN(const std::string name, fields.string("behavior"));
    ESPARSE_ASSIGN_OR_RETURN(const SplitBehavior behavior, parse_split_behavior(name, fields.label()));
    ESPARSE_ASSIGN_OR_RETURN(const bool invert, required_boolean(fields, "invert"));
    return Made(std::make_unique<Split>(std::move(pattern), behavior, invert));
  }

  Status split(Piece piece, std::vector<Piece>& out) const override {
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<TextSpan> matches, pattern_.find_all(piece.text));
    append_split(piece, split_spans(piece.text.size(), matches, behavior_, invert_), out);
    return {};
  }

 private:
  TextPattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class MetaspaceSplit final : public PreTokenizer {
 public:
  explicit MetaspaceSplit(Metaspace metaspace) : metaspace_(std::move(metaspace)) {}

  static Result<Made> parse(const JsonFields& fields) {
    ESPARSE_ASSIGN_OR_RETURN(Metaspace metaspace, Metaspace::parse(fields));
    return Made(std::make_unique<MetaspaceSplit>(std::move(metaspace)));
  }

  Status split(Piece piece, std::vector<Piece>& out) const override {
    const std::string& mark = metaspace_.replacement;
    std::string text;
    text.reserve(piece.text.size() * 3 / 2);
    for (const char c : piece.text) c == ' ' ? text.append(mark) : text.append(1, c);
    const bool prepend = metaspace_.prepend == Metaspace::Prepend::always ||
                         (metaspace_.prepend == Metaspace::Prepend::first && piece.at_start);
    if (prepend && !text.starts_with(mark)) text.insert(0, mark);
    piece.text = std::move(text);
    if (!metaspace_.split) {
      out.push_back(std::move(piece));
      return {};
    }
    const char32_t value = code_point_at(mark, 0).value;
    const auto matches = find_characters(piece.text, [value](char32_t c) { return c == value; });
    append_split(piece, split_spans(piece.text.size(), matches, SplitBehavior::merged_with_next, false), out);
    return {};
  }

 private:
  Metaspace metaspace_;
};

// Digits, WhitespaceSplit, Punctuation: a class of characters and what becomes of them.
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(bool (*member)(char32_t), SplitBehavior behavior) : member_(member), behavior_(behavior) {}

  Status split(Piece piece, std::vector<Piece>& out) const override {
    const auto matches = find_characters(piece.text, member_);
    append_split(piece, split_spans(piece.text.size(), matches, behavior_, false), out);
    return {};
  }

 private:
  bool (*member_)(char32_t);
  SplitBehavior behavior_;
};

// Runs of word characters and runs of other visible characters; white space is dropped.
class Whitespace final : public PreTokenizer {
 public:
  Status split(Piece piece, std::vector<Piece>& out) const override {
    std::vector<TextSpan> runs;
    int previous = 0;
    for (size_t at = 0; at < piece.text.size();) {
      const CodePoint point = code_point_at(piece.text, at);
      const int kind = is_word(point.value) ? 1 : is_white_space(point.value) ? 0 : 2;
      if (kind != 0 && kind == previous) {
        runs.back().end = at + point.bytes;
      } else if (kind != 0) {
        runs.push_back({at, at + point.bytes});
      }
      previous = kind;
      at += point.bytes;
    }
    append_split(piece, runs, out);
    return {};
  }
};

Result<Made> parse_punctuation(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string name, fields.string("behavior", "Isolated"));
  ESPARSE_ASSIGN_OR_RETURN(const SplitBehavior behavior, parse_split_behavior(name, fields.label()));
  return Made(std::make_unique<CharacterSplit>(is_punctuation, behavior));
}

Result<Made> parse_digits(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const bool individual, required_boolean(fields, "individual_digits"));
  return Made(
      std::make_unique<CharacterSplit>(is_numeric, individual ? SplitBehavior::isolated : SplitBehavior::contiguous));
}

Result<Made> parse_one(const JsonFields& fields, const std::string& type) {
  if (type == "ByteLevel") return ByteLevel::parse(fields);
  if (type == "Split") return Split::parse(fields);
  if (type == "Metaspace") return MetaspaceSplit::parse(fields);
  if (type == "Digits") return parse_digits(fields);
  if (type == "Punctuation") return parse_punctuation(fields);
  if (type == "Whitespace") return Made(std::make_unique<Whitespace>());
  if (type == "WhitespaceSplit") return Made(std::make_unique<CharacterSplit>(is_white_space, SplitBehavior::removed));
  return unknown_component(fields.label(), type);
}

Status append_pre_tokenizers(const Json& component, const std::string& label, PreTokenizers& out) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string type, component_type(component, label));
  const JsonFields fields(component, label);
  if (type != "Sequence") {
    ESPARSE_ASSIGN_OR_RETURN(auto made, parse_one(fields, type));
    out.push_back(std::move(made));
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(const Json* list, required_array(fields, "pretokenizers"));
  for (size_t i = 0; i < list->size(); ++i) {
    ESPARSE_RETURN_IF_ERROR(append_pre_tokenizers((*list)[i], fmt::format("{}.pretokenizers[{}]", label, i), out));
  }
  return {};
}

}  // namespace

Result<PreTokenizers> parse_pre_tokenizers(const Json& component, const std::string& label) {
  PreTokenizers steps;
  if (!component.is_null()) ESPARSE_RETURN_IF_ERROR(append_pre_tokenizers(component, label, steps));
  return steps;
}

Status pre_tokenize(const PreTokenizers& steps, std::vector<Piece>& pieces) {
  for (const auto& step : steps) {
    std::vector<Piece> parts;
    parts.reserve(pieces.size());
    for (Piece& piece : pieces) {
      if (piece.is_text()) {
        ESPARSE_RETURN_IF_ERROR(step->split(std::move(piece), parts));
      } else {
        parts.push_back(std::move(piece));
      }
    }
    pieces = std::move(parts);
  }
  return {};
}

}  // namespace esparse
