#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <array>

#include "text/unicode.h"

namespace esparse {
namespace {

// In Ruby ^ and $ always mean lines; newline is \n alone there.
constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 200> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeCompileContext {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* compiled, std::string pattern_label) : value(compiled), label(std::move(pattern_label)) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(value); }

  pcre2_code* value;
  std::string label;
};

Result<Regex> Regex::compile(std::string_view pattern, const std::string& label) {
  if (!is_valid_utf8(pattern)) return corruption("{}: the regular expression is not valid UTF-8", label);
  ESPARSE_ASSIGN_OR_RETURN(const std::string translated, translate_regex(pattern, label));
  const std::unique_ptr<pcre2_compile_context, FreeCompileContext> context(pcre2_compile_context_create(nullptr));
  if (!context) return make_status(StatusKind::out_of_memory, "{}: no memory for a regular expression", label);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), kOptions,
                                       &error, &error_offset, context.get());
  if (compiled == nullptr) {
    return unsupported("{}: regular expression \"{}\": {}", label, pattern, pcre2_message(error));
  }
  // Where there is no just-in-time compiler the interpreter gives the same matches.
  static_cast<void>(pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE));
  return Regex(std::make_shared<const Code>(compiled, label));
}

bool is_script_name(std::string_view name) {
  const std::string pattern = fmt::format("\\p{{sc:{}}}", name);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  const std::unique_ptr<pcre2_code, FreeCode> code(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions, &error, &error_offset, nullptr));
  return code != nullptr;
}

Result<std::vector<TextSpan>> Regex::find_all(std::string_view text) const {
  std::vector<TextSpan> matches;
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create_from_pattern(code_->value, nullptr));
  if (!data) return make_status(StatusKind::out_of_memory, "{}: no memory to match text", code_->label);
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
  for (size_t at = 0; at <= text.size();) {
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int found = pcre2_match(code_->value, subject, text.size(), at, options, data.get(), nullptr);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;  // the interpreter keeps its state on the heap
      found = pcre2_match(code_->value, subject, text.size(), at, options, data.get(), nullptr);
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) return invalid_argument("{}: cannot match the text: {}", code_->label, pcre2_message(found));
    // \K inside a lookahead can put the start behind the end.
    if (bounds[0] > bounds[1]) return unsupported("{}: a match ends before it starts", code_->label);
    if (bounds[0] == bounds[1] && !matches.empty() && matches.back().end == bounds[0]) {
      at += at < text.size() ? code_point_at(text, at).bytes : 1;
      continue;
    }
    matches.push_back({bounds[0], bounds[1]});
    at = bounds[1];
  }
  return matches;
}

}  // namespace esparse
