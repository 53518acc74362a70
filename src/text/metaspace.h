// Metaspace: a visible character in place of spaces. As a pre-tokenizer and as a decoder it has the same fields.
#pragma once

#include <string>

#include "io/json.h"

namespace esparse {

struct Metaspace {
  enum class Prepend { always, first, never };

  std::string replacement;  // one character, UTF-8
  Prepend prepend = Prepend::always;
  bool split = true;

  static Result<Metaspace> parse(const JsonFields& fields);
};

}  // namespace esparse
