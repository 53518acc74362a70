// Byte pair encoding: the vocabulary and the merges of tokenizer.json's "model".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/json.h"

namespace esparse {

// Ids above this are refused, because a table of all tokens is kept; the largest vocabularies have 262,144.
inline constexpr int64_t kMaxTokenId = (int64_t{1} << 24) - 1;

// (left id, right id) -> merge. Open addressing: a lookup per pair of neighbours is most of the work of encoding.
class MergeTable {
 public:
  struct Merge {
    int32_t rank = 0;
    int32_t id = 0;
  };

  explicit MergeTable(size_t count = 0);
  void put(int32_t left, int32_t right, Merge merge);  // the last of equal pairs counts
  const Merge* find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  size_t slot_of(uint64_t key) const;

  std::vector<Slot> slots_;
  uint64_t mask_ = 0;
};

// Immutable once parsed.
class BpeModel {
 public:
  static Result<BpeModel> parse(const Json& model, const std::string& label);

  BpeModel(BpeModel&&) = default;  // moving keeps the token strings where the index points

  // Appends the ids of one word. Fails only when an unknown character needs an unk_token that the vocabulary lacks.
  Status tokenize(std::string_view word, std::vector<int32_t>& ids) const;

  std::optional<int32_t> token_id(std::string_view token) const;
  const std::string* token(int64_t id) const;                                // null where the vocabulary has a hole
  int64_t id_limit() const { return static_cast<int64_t>(tokens_.size()); }  // highest id + 1
  int64_t token_count() const { return static_cast<int64_t>(index_.size()); }

 private:
  struct Symbol {
    int32_t id = 0;
    int32_t previous = -1;
    int32_t next = -1;
    bool alive = true;
  };
  struct Candidate {
    int32_t rank = 0;
    int32_t position = 0;
    int32_t id = 0;
  };

  BpeModel() = default;
  Status read_vocab(const Json& vocab, const std::string& label);
  Status read_merges(const Json& merges, const std::string& label);
  Status read_flags(const JsonFields& fields);
  void index_characters();

  int32_t character_id(std::string_view character, char32_t value) const;  // -1 when unknown
  Status split_characters(std::string_view word, std::vector<Symbol>& symbols) const;
  bool add_bytes(std::string_view character, std::vector<Symbol>& symbols) const;
  std::optional<Candidate> candidate_at(const std::vector<Symbol>& symbols, int32_t position) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  std::string label_;
  std::vector<std::optional<std::string>> tokens_;       // by id
  std::unordered_map<std::string_view, int32_t> index_;  // views into tokens_
  MergeTable merges_;
  std::array<int32_t, 512> low_character_ids_{};  // the byte-level alphabet ends at U+0143
  std::array<int32_t, 256> byte_ids_{};           // of "<0x00>" to "<0xFF>", -1 where absent
  std::optional<std::string> unk_token_;
  int32_t unk_id_ = -1;
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
};

}  // namespace esparse
