#include "text/tokenizer_config.h"

#include "io/json.h"

namespace esparse {
namespace {

Result<std::optional<bool>> optional_boolean(const JsonFields& fields, std::string_view key) {
  if (!fields.has(key)) return std::optional<bool>();
  ESPARSE_ASSIGN_OR_RETURN(const bool value, fields.boolean(key, false));
  return std::optional<bool>(value);
}

// A token is a string, or an object with the string in "content".
Result<std::optional<std::string>> optional_token(const JsonFields& fields, std::string_view key) {
  if (!fields.has(key)) return std::optional<std::string>();
  const Json& value = fields.raw(key);
  if (!value.is_object()) {
    ESPARSE_ASSIGN_OR_RETURN(std::string text, fields.string(key));
    return std::optional<std::string>(std::move(text));
  }
  const JsonFields token(value, fmt::format("{}: {}", fields.label(), key));
  ESPARSE_ASSIGN_OR_RETURN(std::string text, token.string("content"));
  return std::optional<std::string>(std::move(text));
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(const std::filesystem::path& file) {
  TokenizerConfig config;
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return config;
  ESPARSE_ASSIGN_OR_RETURN(const Json document, read_json(file));
  if (!document.is_object()) {
    return corruption("{}: expected an object, got {}", file.string(), document.type_name());
  }
  const JsonFields fields(document, file.string());
  ESPARSE_ASSIGN_OR_RETURN(config.add_bos_token, optional_boolean(fields, "add_bos_token"));
  ESPARSE_ASSIGN_OR_RETURN(config.add_eos_token, optional_boolean(fields, "add_eos_token"));
  ESPARSE_ASSIGN_OR_RETURN(config.bos_token, optional_token(fields, "bos_token"));
  ESPARSE_ASSIGN_OR_RETURN(config.eos_token, optional_token(fields, "eos_token"));
  return config;
}

}  // namespace esparse
