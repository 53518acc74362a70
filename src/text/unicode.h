// UTF-8, and the character classes that tokenizer files rely on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace esparse {

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 1;
};

// The character that starts at `at`, or that ends before `end`. `text` must be valid UTF-8, and the position inside it.
CodePoint code_point_at(std::string_view text, size_t at);
CodePoint code_point_before(std::string_view text, size_t end);

void append_utf8(std::string& out, char32_t value);

bool is_valid_utf8(std::string_view text);

// Each maximal invalid part becomes U+FFFD, as Rust and the WHATWG decoder do. With `keep_cut_tail` a sequence that the
// end of the text cuts short stays as it is: more bytes may follow.
std::string repair_utf8(std::string_view text, bool keep_cut_tail = false);

// The bytes at the end of the text that begin a character which is not complete; 0 for valid UTF-8.
size_t cut_tail_bytes(std::string_view text);

bool is_white_space(char32_t value);  // the Unicode property White_Space
bool is_word(char32_t value);         // \w of Unicode TR 18: letters, marks, decimal digits, connectors, joiners
bool is_numeric(char32_t value);      // general category N
bool is_punctuation(char32_t value);  // general category P, and all ASCII punctuation

void append_lowercase(std::string& out, char32_t value);

// The first character in title case, all others in lower case: Python's str.capitalize(). `text` must be valid UTF-8.
std::string capitalize(std::string_view text);

}  // namespace esparse
