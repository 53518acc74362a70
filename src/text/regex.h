// Regular expressions as tokenizer.json has them: written in Oniguruma's Ruby dialect, run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse {

struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
};

// Immutable; find_all() may be called from several threads at once.
class Regex {
 public:
  // Refuses what the two dialects understand differently and the translation does not cover.
  static Result<Regex> compile(std::string_view pattern, const std::string& label);

  // All matches from left to right without overlap; `text` must be valid UTF-8. An empty match directly behind a match
  // is left out. Fails when a match takes more steps or memory than PCRE2's limits.
  Result<std::vector<TextSpan>> find_all(std::string_view text) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

  std::shared_ptr<const Code> code_;
};

// Whether PCRE2 knows \p{sc:name}.
bool is_script_name(std::string_view name);

// The same expression for PCRE2 with UTF, UCP and MULTILINE; the error says what has no translation.
Result<std::string> translate_regex(std::string_view pattern, const std::string& label);

}  // namespace esparse
