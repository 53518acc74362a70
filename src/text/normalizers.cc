#include "text/normalizers.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "text/text_pattern.h"
#include "text/unicode.h"

namespace esparse {
namespace {

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  Status apply(Piece& piece) const override {
    if (!piece.text.empty()) piece.text.insert(0, text_);
    return {};
  }

 private:
  std::string text_;
};

class Replace final : public Normalizer {
 public:
  Replace(TextPattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  Status apply(Piece& piece) const override {
    ESPARSE_ASSIGN_OR_RETURN(piece.text, pattern_.replace_all(piece.text, content_));
    return {};
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

// NFC, NFD, NFKC, NFKD.
class UnicodeForm final : public Normalizer {
 public:
  UnicodeForm(std::string name, int options) : name_(std::move(name)), options_(options) {}
  Status apply(Piece& piece) const override {
    // ASCII is the same in all four forms.
    if (std::all_of(piece.text.begin(), piece.text.end(), [](char c) { return static_cast<signed char>(c) >= 0; })) {
      return {};
    }
    utf8proc_uint8_t* out = nullptr;
    const auto* in = reinterpret_cast<const utf8proc_uint8_t*>(piece.text.data());
    const utf8proc_ssize_t bytes = utf8proc_map(in, static_cast<utf8proc_ssize_t>(piece.text.size()), &out,
                                                static_cast<utf8proc_option_t>(options_));
    if (bytes < 0) return internal_error("{} of the text failed: {}", name_, utf8proc_errmsg(bytes));
    piece.text.assign(reinterpret_cast<const char*>(out), static_cast<size_t>(bytes));
    std::free(out);
    return {};
  }

 private:
  std::string name_;
  int options_;
};

class Lowercase final : public Normalizer {
 public:
  Status apply(Piece& piece) const override {
    std::string out;
    out.reserve(piece.text.size());
    for (size_t at = 0; at < piece.text.size();) {
      const CodePoint point = code_point_at(piece.text, at);
      append_lowercase(out, point.value);
      at += point.bytes;
    }
    piece.text = std::move(out);
    return {};
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  Status apply(Piece& piece) const override {
    std::string& text = piece.text;
    while (right_ && !text.empty()) {
      const CodePoint last = code_point_before(text, text.size());
      if (!is_white_space(last.value)) break;
      text.resize(text.size() - last.bytes);
    }
    size_t begin = 0;
    while (left_ && begin < text.size()) {
      const CodePoint first = code_point_at(text, begin);
      if (!is_white_space(first.value)) break;
      begin += first.bytes;
    }
    text.erase(0, begin);
    if (begin > 0) piece.at_start = false;  // what is left begins further on in the input
    return {};
  }

 private:
  bool left_;
  bool right_;
};

std::optional<int> unicode_form(std::string_view type) {
  if (type == "NFC") return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  if (type == "NFD") return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (type == "NFKC") return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
  if (type == "NFKD") return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  return std::nullopt;
}

Result<std::unique_ptr<const Normalizer>> parse_one(const JsonFields& fields, const std::string& type) {
  using Made = std::unique_ptr<const Normalizer>;
  if (const std::optional<int> options = unicode_form(type)) return Made(std::make_unique<UnicodeForm>(type, *options));
  if (type == "Lowercase") return Made(std::make_unique<Lowercase>());
  if (type == "Prepend") {
    ESPARSE_ASSIGN_OR_RETURN(std::string text, fields.string("prepend"));
    return Made(std::make_unique<Prepend>(std::move(text)));
  }
  if (type == "Replace") {
    ESPARSE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::parse(fields));
    ESPARSE_ASSIGN_OR_RETURN(std::string content, fields.string("content"));
    return Made(std::make_unique<Replace>(std::move(pattern), std::move(content)));
  }
  if (type == "Strip") {
    ESPARSE_ASSIGN_OR_RETURN(const bool left, required_boolean(fields, "strip_left"));
    ESPARSE_ASSIGN_OR_RETURN(const bool right, required_boolean(fields, "strip_right"));
    return Made(std::make_unique<Strip>(left, right));
  }
  return unknown_component(fields.label(), type);
}

Status append_normalizers(const Json& component, const std::string& label, Normalizers& out) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string type, component_type(component, label));
  const JsonFields fields(component, label);
  if (type != "Sequence") {
    ESPARSE_ASSIGN_OR_RETURN(auto made, parse_one(fields, type));
    out.push_back(std::move(made));
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(const Json* list, required_array(fields, "normalizers"));
  for (size_t i = 0; i < list->size(); ++i) {
    ESPARSE_RETURN_IF_ERROR(append_normalizers((*list)[i], fmt::format("{}.normalizers[{}]", label, i), out));
  }
  return {};
}

}  // namespace

Result<Normalizers> parse_normalizers(const Json& component, const std::string& label) {
  Normalizers normalizers;
  if (!component.is_null()) ESPARSE_RETURN_IF_ERROR(append_normalizers(component, label, normalizers));
  return normalizers;
}

Status normalize(const Normalizers& normalizers, Piece& piece) {
  for (const auto& normalizer : normalizers) ESPARSE_RETURN_IF_ERROR(normalizer->apply(piece));
  return {};
}

}  // namespace esparse
