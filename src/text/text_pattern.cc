#include "text/text_pattern.h"

#include "text/unicode.h"

namespace esparse {
namespace {

std::vector<TextSpan> find_literal(std::string_view text, std::string_view literal) {
  std::vector<TextSpan> matches;
  for (size_t at = text.find(literal); at != std::string_view::npos; at = text.find(literal, at + literal.size())) {
    matches.push_back({at, at + literal.size()});
  }
  return matches;
}

}  // namespace

Result<TextPattern> TextPattern::parse(const JsonFields& component) {
  const std::string label = component.label() + ".pattern";
  const JsonFields fields(component.raw("pattern"), label);
  TextPattern pattern;
  if (fields.has("Regex")) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string source, fields.string("Regex"));
    ESPARSE_ASSIGN_OR_RETURN(pattern.regex_, Regex::compile(source, label));
    return pattern;
  }
  ESPARSE_ASSIGN_OR_RETURN(pattern.literal_, fields.string("String"));
  if (pattern.literal_.empty()) return unsupported("{}: an empty string", label);
  return pattern;
}

Result<std::vector<TextSpan>> TextPattern::find_all(std::string_view text) const {
  if (regex_) return regex_->find_all(text);
  return find_literal(text, literal_);
}

Result<std::string> TextPattern::replace_all(std::string_view text, std::string_view replacement) const {
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<TextSpan> matches, find_all(text));
  std::string out;
  size_t done = 0;
  for (const TextSpan& match : matches) {
    out.append(text, done, match.begin - done).append(replacement);
    done = match.end;
  }
  out.append(text, done);
  return out;
}

Result<std::string> component_type(const Json& component, const std::string& label) {
  return JsonFields(component, label).string("type");
}

Status unknown_component(const std::string& label, std::string_view type) {
  return unsupported("{}: type \"{}\" is not supported", label, type);
}

Result<bool> required_boolean(const JsonFields& component, std::string_view key) {
  if (!component.has(key)) return corruption("{}: key \"{}\" is missing", component.label(), key);
  return component.boolean(key, false);
}

Result<char32_t> required_character(const JsonFields& component, std::string_view key) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string text, component.string(key));
  if (text.empty() || !is_valid_utf8(text) || code_point_at(text, 0).bytes != text.size()) {
    return corruption("{}: key \"{}\": expected one character, got {} bytes", component.label(), key, text.size());
  }
  return code_point_at(text, 0).value;
}

Result<const Json*> required_array(const JsonFields& component, std::string_view key) {
  const Json& value = component.raw(key);
  if (!value.is_array()) {
    return corruption("{}: key \"{}\": expected an array, got {}", component.label(), key, value.type_name());
  }
  return &value;
}

}  // namespace esparse
