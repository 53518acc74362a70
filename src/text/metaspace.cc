#include "text/metaspace.h"

#include "text/text_pattern.h"
#include "text/unicode.h"

namespace esparse {

Result<Metaspace> Metaspace::parse(const JsonFields& fields) {
  Metaspace metaspace;
  ESPARSE_ASSIGN_OR_RETURN(const char32_t replacement, required_character(fields, "replacement"));
  append_utf8(metaspace.replacement, replacement);
  ESPARSE_ASSIGN_OR_RETURN(metaspace.split, fields.boolean("split", true));
  // Older files have add_prefix_space instead of prepend_scheme, some have both.
  ESPARSE_ASSIGN_OR_RETURN(const bool add_prefix_space, fields.boolean("add_prefix_space", true));
  ESPARSE_ASSIGN_OR_RETURN(const std::string scheme,
                           fields.string("prepend_scheme", add_prefix_space ? "always" : "never"));
  if (scheme == "always") {
    metaspace.prepend = Prepend::always;
  } else if (scheme == "first") {
    metaspace.prepend = Prepend::first;
  } else if (scheme == "never") {
    metaspace.prepend = Prepend::never;
  } else {
    return unsupported("{}: prepend_scheme \"{}\" is not supported", fields.label(), scheme);
  }
  if (!add_prefix_space && metaspace.prepend != Prepend::never) {
    return corruption("{}: add_prefix_space is false, but prepend_scheme is \"{}\"", fields.label(), scheme);
  }
  return metaspace;
}

}  // namespace esparse
