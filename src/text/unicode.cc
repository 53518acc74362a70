#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdint>

namespace esparse {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Step {
  size_t bytes = 1;  // of the sequence, or of its longest part that could have begun a valid one
  bool valid = true;
  bool cut = false;  // not valid only because the text ends
};

uint8_t byte_at(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

// Unicode table 3-7: the second byte's range depends on the first; the others are 80..BF.
Step step_at(std::string_view text, size_t at) {
  const uint8_t lead = byte_at(text, at);
  if (lead < 0x80) return {};
  if (lead < 0xC2 || lead > 0xF4) return {.valid = false};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {.bytes = i, .valid = false, .cut = true};
    const uint8_t next = byte_at(text, at + i);
    if (next < low || next > high) return {.bytes = i, .valid = false};
    low = 0x80;
    high = 0xBF;
  }
  return {.bytes = length};
}

utf8proc_category_t category(char32_t value) { return utf8proc_category(static_cast<utf8proc_int32_t>(value)); }

bool in(char32_t value, char32_t first, char32_t last) { return first <= value && value <= last; }

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  const uint8_t lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t value = lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) value = (value << 6) | (byte_at(text, at + i) & 0x3FU);
  return {value, length};
}

CodePoint code_point_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (byte_at(text, at) & 0xC0) == 0x80) --at;
  return code_point_at(text, at);
}

void append_utf8(std::string& out, char32_t value) {
  const auto push = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) return push(value);
  if (value < 0x800) {
    push(0xC0 | (value >> 6));
  } else if (value < 0x10000) {
    push(0xE0 | (value >> 12));
    push(0x80 | ((value >> 6) & 0x3F));
  } else {
    push(0xF0 | (value >> 18));
    push(0x80 | ((value >> 12) & 0x3F));
    push(0x80 | ((value >> 6) & 0x3F));
  }
  push(0x80 | (value & 0x3F));
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Step step = step_at(text, at);
    if (!step.valid) return false;
    at += step.bytes;
  }
  return true;
}

std::string repair_utf8(std::string_view text, bool keep_cut_tail) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Step step = step_at(text, at);
    if (step.valid || (step.cut && keep_cut_tail)) {
      out.append(text, at, step.bytes);
    } else {
      out.append(kReplacement);
    }
    at += step.bytes;
  }
  return out;
}

size_t cut_tail_bytes(std::string_view text) {
  // A sequence has at most four bytes, so a cut one has at most three.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t at = text.size() - back;
    if ((byte_at(text, at) & 0xC0) == 0x80) continue;
    const Step step = step_at(text, at);
    return step.cut && step.bytes == back ? back : 0;
  }
  return 0;
}

bool is_white_space(char32_t value) {
  return in(value, 0x09, 0x0D) || value == 0x20 || value == 0x85 || value == 0xA0 || value == 0x1680 ||
         in(value, 0x2000, 0x200A) || value == 0x2028 || value == 0x2029 || value == 0x202F || value == 0x205F ||
         value == 0x3000;
}

bool is_word(char32_t value) {
  switch (category(value)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    // Alphabetic by exception: circled and squared letters. The last two are Join_Control.
    default:
      return in(value, 0x24B6, 0x24E9) || in(value, 0x1F130, 0x1F149) || in(value, 0x1F150, 0x1F169) ||
             in(value, 0x1F170, 0x1F189) || value == 0x200C || value == 0x200D;
  }
}

bool is_numeric(char32_t value) {
  const utf8proc_category_t of = category(value);
  return of == UTF8PROC_CATEGORY_ND || of == UTF8PROC_CATEGORY_NL || of == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t value) {
  if (value < 0x80) return in(value, '!', '/') || in(value, ':', '@') || in(value, '[', '`') || in(value, '{', '~');
  const utf8proc_category_t of = category(value);
  return of >= UTF8PROC_CATEGORY_PC && of <= UTF8PROC_CATEGORY_PO;
}

void append_lowercase(std::string& out, char32_t value) {
  // The only character whose lower case is two: i and a combining dot above.
  if (value == 0x130) {
    out.append("i\xCC\x87");
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value))));
  }
}

std::string capitalize(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint character = code_point_at(text, at);
    if (at == 0) {
      append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(character.value))));
    } else {
      append_lowercase(out, character.value);
    }
    at += character.bytes;
  }
  return out;
}

}  // namespace esparse
