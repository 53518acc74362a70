#include "text/decoders.h"

#include <cctype>

#include "text/byte_alphabet.h"
#include "text/metaspace.h"
#include "text/text_pattern.h"
#include "text/unicode.h"

namespace esparse {
namespace {

using Made = std::unique_ptr<const Decoder>;

std::string concatenate(const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) text.append(token);
  return text;
}

class ByteLevelDecoder final : public Decoder {
 public:
  Status apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      // An added token need not be spelled in the alphabet; then it stands for itself.
      bytes.append(from_byte_alphabet(token).value_or(token));
    }
    tokens = {repair_utf8(bytes, true)};
    return {};
  }
};

// Runs of "<0xHH>" tokens become characters, or one U+FFFD per byte when the run is not UTF-8.
class ByteFallback final : public Decoder {
 public:
  Status apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string run;
    for (std::string& token : tokens) {
      if (const std::optional<char> byte = parse_byte(token)) {
        run.push_back(*byte);
        continue;
      }
      flush(run, false, out);
      out.push_back(std::move(token));
    }
    flush(run, true, out);
    tokens = std::move(out);
    return {};
  }

 private:
  static std::optional<char> parse_byte(const std::string& token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    if (!is_hex(token[3]) || !is_hex(token[4])) return std::nullopt;
    return static_cast<char>(std::stoi(token.substr(3, 2), nullptr, 16));
  }

  static void flush(std::string& run, bool last, std::vector<std::string>& out) {
    const size_t tail = last ? cut_tail_bytes(run) : 0;
    if (is_valid_utf8(std::string_view(run).substr(0, run.size() - tail))) {
      if (!run.empty()) out.push_back(run);
    } else {
      out.insert(out.end(), run.size(), "\xEF\xBF\xBD");
    }
    run.clear();
  }
};

class ReplaceDecoder final : public Decoder {
 public:
  ReplaceDecoder(TextPattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  Status apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      // A cut character at the end of the last token is not text yet.
      const size_t whole = token.size() - cut_tail_bytes(token);
      ESPARSE_ASSIGN_OR_RETURN(std::string replaced,
                               pattern_.replace_all(std::string_view(token).substr(0, whole), content_));
      token.replace(0, whole, replaced);
    }
    return {};
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

class Fuse final : public Decoder {
 public:
  Status apply(std::vector<std::string>& tokens) const override {
    tokens = {concatenate(tokens)};
    return {};
  }
};

// Up to `start` times the character at the start of each token, up to `stop` times at its end.
class StripDecoder final : public Decoder {
 public:
  StripDecoder(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  Status apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view left = token;
      for (int64_t i = 0; i < start_ && left.starts_with(content_); ++i) left.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && left.ends_with(content_); ++i) left.remove_suffix(content_.size());
      token = std::string(left);
    }
    return {};
  }

 private:
  std::string content_;
  int64_t start_;
  int64_t stop_;
};

class MetaspaceDecoder final : public Decoder {
 public:
  explicit MetaspaceDecoder(Metaspace metaspace) : metaspace_(std::move(metaspace)) {}
  Status apply(std::vector<std::string>& tokens) const override {
    const std::string& mark = metaspace_.replacement;
    for (size_t i = 0; i < tokens.size(); ++i) {
      // All marks of the first token go, not only a leading one; so does the reference.
      const bool drop = i == 0 && metaspace_.prepend != Metaspace::Prepend::never;
      std::string out;
      out.reserve(tokens[i].size());
      for (std::string_view left = tokens[i]; !left.empty();) {
        if (left.starts_with(mark)) {
          if (!drop) out.push_back(' ');
          left.remove_prefix(mark.size());
        } else {
          out.push_back(left.front());
          left.remove_prefix(1);
        }
      }
      tokens[i] = std::move(out);
    }
    return {};
  }

 private:
  Metaspace metaspace_;
};

Result<Made> parse_strip(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(const char32_t content, required_character(fields, "content"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t start, fields.integer("start"));
  ESPARSE_ASSIGN_OR_RETURN(const int64_t stop, fields.integer("stop"));
  if (start < 0 || stop < 0) {
    return corruption("{}: expected start and stop of 0 or more, got {} and {}", fields.label(), start, stop);
  }
  std::string text;
  append_utf8(text, content);
  return Made(std::make_unique<StripDecoder>(std::move(text), start, stop));
}

Result<Made> parse_replace(const JsonFields& fields) {
  ESPARSE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::parse(fields));
  ESPARSE_ASSIGN_OR_RETURN(std::string content, fields.string("content"));
  return Made(std::make_unique<ReplaceDecoder>(std::move(pattern), std::move(content)));
}

Result<Made> parse_one(const JsonFields& fields, const std::string& type) {
  if (type == "ByteLevel") return Made(std::make_unique<ByteLevelDecoder>());
  if (type == "ByteFallback") return Made(std::make_unique<ByteFallback>());
  if (type == "Fuse") return Made(std::make_unique<Fuse>());
  if (type == "Replace") return parse_replace(fields);
  if (type == "Strip") return parse_strip(fields);
  if (type == "Metaspace") {
    ESPARSE_ASSIGN_OR_RETURN(Metaspace metaspace, Metaspace::parse(fields));
    return Made(std::make_unique<MetaspaceDecoder>(std::move(metaspace)));
  }
  return unknown_component(fields.label(), type);
}

Status append_decoders(const Json& component, const std::string& label, Decoders& out) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string type, component_type(component, label));
  const JsonFields fields(component, label);
  if (type != "Sequence") {
    ESPARSE_ASSIGN_OR_RETURN(auto made, parse_one(fields, type));
    out.push_back(std::move(made));
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(const Json* list, required_array(fields, "decoders"));
  for (size_t i = 0; i < list->size(); ++i) {
    ESPARSE_RETURN_IF_ERROR(append_decoders((*list)[i], fmt::format("{}.decoders[{}]", label, i), out));
  }
  return {};
}

}  // namespace

Result<Decoders> parse_decoders(const Json& component, const std::string& label) {
  Decoders decoders;
  if (!component.is_null()) ESPARSE_RETURN_IF_ERROR(append_decoders(component, label, decoders));
  return decoders;
}

Result<std::string> decode_tokens(const Decoders& decoders, std::vector<std::string> tokens) {
  if (decoders.empty()) {
    // Without a decoder the reference puts a space between tokens.
    std::string text;
    for (size_t i = 0; i < tokens.size(); ++i) text.append(i == 0 ? "" : " ").append(tokens[i]);
    return text;
  }
  for (const auto& decoder : decoders) ESPARSE_RETURN_IF_ERROR(decoder->apply(tokens));
  return concatenate(tokens);
}

}  // namespace esparse
