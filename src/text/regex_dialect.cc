// Oniguruma's Ruby syntax rewritten for PCRE2. What both read alike is copied; what they read differently is rewritten
// or, where that is not possible, refused.
#include <cctype>
#include <optional>

#include "text/regex.h"
#include "text/unicode.h"

namespace esparse {
namespace {

// Contents of bracket classes. PCRE2 also counts U+180E as \s, and has neither marks nor connectors in \w.
constexpr std::string_view kSpace =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view kWordInClass = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
// Outside of brackets Oniguruma's \w and \b also take the superscripts and fractions of Latin-1 in.
constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
constexpr std::string_view kHex = "0-9a-fA-F";
// Escapes with one meaning in both dialects, outside and inside of a bracket class.
constexpr std::string_view kSameOutside = "dDAzZGnrtfae0123456789R";
constexpr std::string_view kSameInside = "dDnrtfaeb0";

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& label) : in_(pattern), label_(label) {}

  Result<std::string> run() {
    while (!done()) ESPARSE_RETURN_IF_ERROR(one());
    return std::move(out_);
  }

 private:
  bool done() const { return at_ >= in_.size(); }
  bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  char peek() const { return done() ? '\0' : in_[at_]; }

  Status refuse(std::string_view what) const {
    return unsupported("{}: regular expression \"{}\": {} is not supported", label_, in_, what);
  }

  void begin_atom() { atom_ = out_.size(); }
  void bracketed(std::string_view open, std::string_view contents) { out_.append(open).append(contents).append("]"); }

  Status one() {
    const char c = peek();
    switch (c) {
      case '\\':
        begin_atom();
        return escape_outside();
      case '[':
        begin_atom();
        return bracket_class();
      case '(':
        return open_group();
      case ')':
        return close_group();
      case '{':
        return interval();
      default:
        break;
    }
    if (std::string_view("*+?|").find(c) == std::string_view::npos) begin_atom();
    const size_t bytes = code_point_at(in_, at_).bytes;
    out_.append(in_, at_, bytes);
    at_ += bytes;
    return {};
  }

  Status escape_outside() {
    at_ += 1;
    if (done()) return refuse("a backslash at the end");
    const char c = in_[at_++];
    switch (c) {
      case 's':
        bracketed("[", kSpace);
        return {};
      case 'S':
        bracketed("[^", kSpace);
        return {};
      case 'w':
        bracketed("[", kWord);
        return {};
      case 'W':
        bracketed("[^", kWord);
        return {};
      case 'h':
        bracketed("[", kHex);
        return {};
      case 'H':
        bracketed("[^", kHex);
        return {};
      case 'b':
        out_.append(fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord));
        return {};
      case 'B':
        out_.append(fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWord));
        return {};
      default:
        return common_escape(c, kSameOutside);
    }
  }

  Status escape_inside() {
    at_ += 1;
    if (done()) return refuse("a backslash at the end");
    const char c = in_[at_++];
    switch (c) {
      case 's':
        out_.append(kSpace);
        return {};
      case 'S':
        out_.append("\\P{White_Space}");
        return {};
      case 'w':
        out_.append(kWordInClass);
        return {};
      case 'h':
        out_.append(kHex);
        return {};
      default:
        return common_escape(c, kSameInside);
    }
  }

  Status common_escape(char c, std::string_view same) {
    if (c == 'p' || c == 'P') return property(c);
    if (c == 'x' || c == 'u') return code_point(c);
    if (c == 'v') {
      out_.append("\\x0b");
      return {};
    }
    if (is_alnum(c) && same.find(c) == std::string_view::npos) return refuse(fmt::format("\\{}", c));
    out_.push_back('\\');
    out_.push_back(c);
    return {};
  }

  Status property(char c) {
    const size_t close = in_.find('}', at_);
    if (peek() != '{' || close == std::string_view::npos) return refuse(fmt::format("\\{} without a name", c));
    std::string_view name = in_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    bool negative = c == 'P';
    if (name.starts_with('^')) {
      negative = !negative;
      name.remove_prefix(1);
    }
    // For PCRE2 a bare script name also takes in what scripts share, such as the CJK full stop.
    out_.append(fmt::format("\\{}{{{}{}}}", negative ? 'P' : 'p', is_script_name(name) ? "sc:" : "", name));
    return {};
  }

  // \xHH, \x{H...} and \uHHHH all become \x{H...}.
  Status code_point(char kind) {
    const bool braces = kind == 'x' && peek() == '{';
    const size_t begin = at_ + (braces ? 1 : 0);
    const size_t most = kind == 'u' ? 4 : braces ? 8 : 2;
    size_t end = begin;
    while (end < in_.size() && end - begin < most && std::isxdigit(static_cast<unsigned char>(in_[end]))) ++end;
    const std::string_view digits = in_.substr(begin, end - begin);
    at_ = end + (braces ? 1 : 0);
    if (digits.empty() || (kind == 'u' && digits.size() != 4) || (braces && (end >= in_.size() || in_[end] != '}'))) {
      return refuse("a malformed character code");
    }
    // There \xHH above 7f is a byte of UTF-8, not a character.
    if (kind == 'x' && !braces && digits.size() == 2 && digits[0] >= '8') return refuse("a raw byte above \\x7f");
    out_.append(fmt::format("\\x{{{}}}", digits));
    return {};
  }

  Status bracket_class() {
    at_ += 1;
    out_.push_back('[');
    if (peek() == '^') {
      out_.push_back('^');
      at_ += 1;
    }
    if (peek() == ']') return refuse("a bracket class that begins with ]");
    while (!done() && peek() != ']') {
      if (next_is("[:")) {
        ESPARSE_RETURN_IF_ERROR(posix_class());
      } else if (peek() == '[') {
        return refuse("a bracket class inside another");
      } else if (next_is("&&")) {
        return refuse("&& in a bracket class");
      } else if (peek() == '\\') {
        ESPARSE_RETURN_IF_ERROR(escape_inside());
      } else {
        const size_t bytes = code_point_at(in_, at_).bytes;
        out_.append(in_, at_, bytes);
        at_ += bytes;
      }
    }
    if (done()) return refuse("a bracket class without end");
    out_.push_back(']');
    at_ += 1;
    return {};
  }

  Status posix_class() {
    const size_t close = in_.find(":]", at_);
    if (close == std::string_view::npos) return refuse("[: without :]");
    const std::string_view name = in_.substr(at_ + 2, close - at_ - 2);
    at_ = close + 2;
    if (name == "alpha")
      out_.append("\\p{Alphabetic}");
    else if (name == "digit")
      out_.append("\\p{Nd}");
    else if (name == "alnum")
      out_.append("\\p{Alphabetic}\\p{Nd}");
    else if (name == "upper")
      out_.append("\\p{Uppercase}");
    else if (name == "lower")
      out_.append("\\p{Lowercase}");
    else if (name == "space")
      out_.append(kSpace);
    else if (name == "word")
      out_.append(kWordInClass);
    else if (name == "xdigit")
      out_.append(kHex);
    else
      return refuse(fmt::format("[:{}:]", name));
    return {};
  }

  Status open_group() {
    groups_.push_back(out_.size());
    for (const std::string_view same : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (!next_is(same)) continue;
      out_.append(same);
      at_ += same.size();
      return {};
    }
    if (next_is("(?")) return option_group();
    out_.push_back('(');
    at_ += 1;
    return {};
  }

  // (?i:...) anywhere, (?i) only in front of everything: elsewhere Ruby makes it embrace the alternatives that follow.
  Status option_group() {
    const size_t end = in_.find_first_of(":)", at_);
    if (end == std::string_view::npos) return refuse("(? without end");
    std::string flags(in_.substr(at_ + 2, end - at_ - 2));
    if (flags.empty() || flags.find_first_not_of("im-") != std::string::npos) {
      return refuse(fmt::format("(?{}", flags));
    }
    for (char& flag : flags) flag = flag == 'm' ? 's' : flag;  // "dot matches newline" is m in Ruby
    if (in_[end] == ')') {
      if (at_ != 0) return refuse("(?options) behind the start");
      groups_.pop_back();
    }
    out_.append("(?").append(flags).push_back(in_[end]);
    at_ = end + 1;
    return {};
  }

  Status close_group() {
    if (groups_.empty()) return refuse("a closing parenthesis without an opening one");
    atom_ = groups_.back();
    groups_.pop_back();
    out_.push_back(')');
    at_ += 1;
    return {};
  }

  size_t skip_digits(size_t at) const {
    while (at < in_.size() && is_digit(in_[at])) ++at;
    return at;
  }

  // In Ruby {n,m}+ repeats the interval and {n}? makes it optional; in PCRE2 they would be possessive and lazy.
  Status interval() {
    const size_t low_end = skip_digits(at_ + 1);
    const bool comma = low_end < in_.size() && in_[low_end] == ',';
    const size_t high_end = comma ? skip_digits(low_end + 1) : low_end;
    const bool any_digit = high_end - at_ > (comma ? 2U : 1U);
    if (high_end >= in_.size() || in_[high_end] != '}' || !any_digit) {
      begin_atom();
      out_.append("\\{");
      at_ += 1;
      return {};
    }
    std::string bounds(in_.substr(at_, high_end + 1 - at_));
    if (low_end == at_ + 1) bounds.insert(bounds.begin() + 1, '0');
    at_ = high_end + 1;
    const bool repeated = peek() == '+' || (peek() == '?' && !comma);
    if (repeated) out_.insert(atom_, std::string_view("(?:"));
    out_.append(bounds);
    if (repeated) out_.push_back(')');
    return {};
  }

  std::string_view in_;
  const std::string& label_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where in out_ the thing begins that a quantifier would repeat
  std::vector<size_t> groups_;  // where in out_ the open groups begin
};

}  // namespace

Result<std::string> translate_regex(std::string_view pattern, const std::string& label) {
  return Translator(pattern, label).run();
}

}  // namespace esparse
