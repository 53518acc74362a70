// The two ways tokenizer.json says what to look for: {"String": ...} and {"Regex": ...}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/regex.h"

namespace esparse {

class TextPattern {
 public:
  // Of the field "pattern".
  static Result<TextPattern> parse(const JsonFields& component);

  Result<std::vector<TextSpan>> find_all(std::string_view text) const;

  // The text with every match replaced.
  Result<std::string> replace_all(std::string_view text, std::string_view replacement) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

// Fields that every component has or must have.
Result<std::string> component_type(const Json& component, const std::string& label);
Status unknown_component(const std::string& label, std::string_view type);
Result<bool> required_boolean(const JsonFields& component, std::string_view key);
Result<char32_t> required_character(const JsonFields& component, std::string_view key);
// The field `key`, which must be an array, of a Sequence.
Result<const Json*> required_array(const JsonFields& component, std::string_view key);

}  // namespace esparse
