// The "added_tokens" of tokenizer.json: strings that are found in the text before the model sees it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/json.h"
#include "text/bpe_model.h"
#include "text/normalizers.h"
#include "text/piece.h"

namespace esparse {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = true;    // looked for in normalised text, in its own normalised form
  bool special = false;

  bool operator==(const AddedToken&) const = default;
};

// A set of strings; finds the longest one at the leftmost position.
class TokenTrie {
 public:
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    size_t value = 0;
  };

  void insert(std::string_view text, size_t value);  // the first of equal strings counts
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  static constexpr size_t kNone = ~size_t{0};
  static uint64_t edge(size_t node, char byte) { return (uint64_t{node} << 8) | static_cast<uint8_t>(byte); }

  std::unordered_map<uint64_t, size_t> edges_;  // (node, byte) -> node; the root is node 0
  std::vector<size_t> values_ = {kNone};        // by node
};

// Immutable once parsed.
class AddedTokens {
 public:
  // Ids must be those that the reference gives: the model's own for a token of its vocabulary, then the next free ones.
  static Result<AddedTokens> parse(const Json& list, const std::string& label, const BpeModel& model,
                                   const Normalizers& normalizers);

  // The pieces of a whole input: added tokens by id, the text between them normalised.
  Result<std::vector<Piece>> split(std::string_view text, const Normalizers& normalizers) const;

  std::optional<int32_t> token_id(std::string_view content) const;
  const std::string* token(int64_t id) const;  // null when not an added token
  int64_t id_limit() const { return by_id_.empty() ? 0 : int64_t{by_id_.rbegin()->first} + 1; }

 private:
  Status add(const JsonFields& fields, const BpeModel& model);
  Status index(const std::string& label, const Normalizers& normalizers);
  void split_piece(const TokenTrie& trie, const Piece& piece, std::vector<Piece>& out) const;

  std::vector<AddedToken> tokens_;   // in the order of the file
  std::map<int32_t, size_t> by_id_;  // index into tokens_
  std::map<std::string, size_t, std::less<>> by_content_;
  TokenTrie raw_;
  TokenTrie normalized_;
};

}  // namespace esparse
