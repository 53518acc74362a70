#include "text/added_tokens.h"

#include <algorithm>

#include "text/text_pattern.h"
#include "text/unicode.h"

namespace esparse {
namespace {

size_t white_space_begin_before(std::string_view text, size_t end) {
  while (end > 0) {
    const CodePoint last = code_point_before(text, end);
    if (!is_white_space(last.value)) break;
    end -= last.bytes;
  }
  return end;
}

size_t white_space_end_after(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const CodePoint next = code_point_at(text, begin);
    if (!is_white_space(next.value)) break;
    begin += next.bytes;
  }
  return begin;
}

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_word(code_point_before(text, begin).value)) ||
         (end < text.size() && is_word(code_point_at(text, end).value));
}

Result<AddedToken> parse_token(const JsonFields& fields) {
  AddedToken token;
  ESPARSE_ASSIGN_OR_RETURN(const int64_t id, fields.integer("id"));
  if (id < 0 || id > kMaxTokenId) {
    return corruption("{}: expected an id from 0 to {}, got {}", fields.label(), kMaxTokenId, id);
  }
  token.id = static_cast<int32_t>(id);
  ESPARSE_ASSIGN_OR_RETURN(token.content, fields.string("content"));
  if (token.content.empty()) return corruption("{}: the content is empty", fields.label());
  ESPARSE_ASSIGN_OR_RETURN(token.single_word, required_boolean(fields, "single_word"));
  ESPARSE_ASSIGN_OR_RETURN(token.lstrip, required_boolean(fields, "lstrip"));
  ESPARSE_ASSIGN_OR_RETURN(token.rstrip, required_boolean(fields, "rstrip"));
  ESPARSE_ASSIGN_OR_RETURN(token.normalized, required_boolean(fields, "normalized"));
  ESPARSE_ASSIGN_OR_RETURN(token.special, required_boolean(fields, "special"));
  return token;
}

}  // namespace

void TokenTrie::insert(std::string_view text, size_t value) {
  size_t node = 0;
  for (const char byte : text) {
    const auto [entry, inserted] = edges_.try_emplace(edge(node, byte), values_.size());
    if (inserted) values_.push_back(kNone);
    node = entry->second;
  }
  if (values_[node] == kNone) values_[node] = value;
}

std::optional<TokenTrie::Match> TokenTrie::find(std::string_view text, size_t from) const {
  if (edges_.empty()) return std::nullopt;
  for (size_t begin = from; begin < text.size(); ++begin) {
    std::optional<Match> longest;
    size_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      const auto next = edges_.find(edge(node, text[at]));
      if (next == edges_.end()) break;
      node = next->second;
      if (values_[node] != kNone) longest = Match{begin, at + 1, values_[node]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

Result<AddedTokens> AddedTokens::parse(const Json& list, const std::string& label, const BpeModel& model,
                                       const Normalizers& normalizers) {
  AddedTokens added;
  if (list.is_null()) return added;
  if (!list.is_array()) return corruption("{}: expected an array, got {}", label, list.type_name());
  for (size_t i = 0; i < list.size(); ++i) {
    ESPARSE_RETURN_IF_ERROR(added.add(JsonFields(list[i], fmt::format("{}[{}]", label, i)), model));
  }
  ESPARSE_RETURN_IF_ERROR(added.index(label, normalizers));
  return added;
}

Status AddedTokens::add(const JsonFields& fields, const BpeModel& model) {
  ESPARSE_ASSIGN_OR_RETURN(AddedToken token, parse_token(fields));
  if (const auto same = by_content_.find(token.content); same != by_content_.end()) {
    if (tokens_[same->second] == token) return {};
    return corruption("{}: token \"{}\" is there twice and differs", fields.label(), token.content);
  }
  // The reference takes the file's order for granted and would number the token so, whatever id the file gives.
  const int64_t next = std::max(model.token_count(), id_limit());
  const int64_t expected = model.token_id(token.content).value_or(static_cast<int32_t>(next));
  if (token.id != expected) {
    return corruption("{}: token \"{}\": expected id {}, got {}", fields.label(), token.content, expected, token.id);
  }
  by_id_.emplace(token.id, tokens_.size());
  by_content_.emplace(token.content, tokens_.size());
  tokens_.push_back(std::move(token));
  return {};
}

Status AddedTokens::index(const std::string& label, const Normalizers& normalizers) {
  // Two tokens can have one normalised form; then the special one counts.
  for (const bool special : {true, false}) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const AddedToken& token = tokens_[i];
      if (token.special != special) continue;
      if (!token.normalized) {
        raw_.insert(token.content, i);
        continue;
      }
      Piece form{.text = token.content};
      ESPARSE_RETURN_IF_ERROR(normalize(normalizers, form));
      if (form.text.empty()) return unsupported("{}: nothing is left of \"{}\" normalised", label, token.content);
      normalized_.insert(form.text, i);
    }
  }
  return {};
}

void AddedTokens::split_piece(const TokenTrie& trie, const Piece& piece, std::vector<Piece>& out) const {
  const std::string_view text = piece.text;
  size_t done = 0;
  const auto push_text = [&](size_t end) {
    if (done < end)
      out.push_back({.text = piece.text.substr(done, end - done), .at_start = piece.at_start && done == 0});
  };
  for (auto match = trie.find(text, 0); match; match = trie.find(text, match->end)) {
    const AddedToken& token = tokens_[match->value];
    if (token.single_word && touches_word(text, match->begin, match->end)) continue;
    // White space that a token before has taken is not taken again.
    const size_t begin = token.lstrip ? std::max(white_space_begin_before(text, match->begin), done) : match->begin;
    push_text(begin);
    out.push_back({.text = token.content, .id = token.id});
    done = token.rstrip ? white_space_end_after(text, match->end) : match->end;
  }
  push_text(text.size());
}

Result<std::vector<Piece>> AddedTokens::split(std::string_view text, const Normalizers& normalizers) const {
  std::vector<Piece> parts;
  if (text.empty()) return parts;
  split_piece(raw_, {.text = std::string(text), .at_start = true}, parts);
  std::vector<Piece> pieces;
  for (Piece& part : parts) {
    if (!part.is_text()) {
      pieces.push_back(std::move(part));
      continue;
    }
    ESPARSE_RETURN_IF_ERROR(normalize(normalizers, part));
    split_piece(normalized_, part, pieces);
  }
  return pieces;
}

std::optional<int32_t> AddedTokens::token_id(std::string_view content) const {
  const auto entry = by_content_.find(content);
  if (entry == by_content_.end()) return std::nullopt;
  return tokens_[entry->second].id;
}

const std::string* AddedTokens::token(int64_t id) const {
  const auto entry = by_id_.find(static_cast<int32_t>(id));
  return entry == by_id_.end() ? nullptr : &tokens_[entry->second].content;
}

}  // namespace esparse
