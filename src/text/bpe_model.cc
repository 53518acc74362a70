#include "text/bpe_model.h"

#include <bit>
#include <limits>
#include <queue>

#include "text/text_pattern.h"
#include "text/unicode.h"

namespace esparse {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

// "a b" or ["a", "b"].
bool read_pair(const Json& merge, std::string_view& left, std::string_view& right) {
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) return false;
    left = text.substr(0, space);
    right = text.substr(space + 1);
    return true;
  }
  if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) return false;
  left = merge[0].get_ref<const std::string&>();
  right = merge[1].get_ref<const std::string&>();
  return true;
}

}  // namespace

MergeTable::MergeTable(size_t count) : slots_(std::bit_ceil(2 * count + 1)), mask_(slots_.size() - 1) {}

size_t MergeTable::slot_of(uint64_t key) const {
  // Fibonacci hashing; the high half is the well mixed one.
  size_t slot = ((key * 0x9E3779B97F4A7C15ULL) >> 32) & mask_;
  while (slots_[slot].key != key && slots_[slot].key != kEmpty) slot = (slot + 1) & mask_;
  return slot;
}

void MergeTable::put(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = pair_key(left, right);
  slots_[slot_of(key)] = {key, merge};
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  const Slot& slot = slots_[slot_of(key)];
  return slot.key == key ? &slot.merge : nullptr;
}

Result<BpeModel> BpeModel::parse(const Json& model, const std::string& label) {
  const JsonFields fields(model, label);
  // Files of 2020 and before name no type; only BPE has merges.
  if (fields.has("type") || !fields.has("merges")) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string type, component_type(model, label));
    if (type != "BPE") return unknown_component(label, type);
  }
  BpeModel bpe;
  bpe.label_ = label;
  ESPARSE_RETURN_IF_ERROR(bpe.read_vocab(fields.raw("vocab"), label + ".vocab"));
  ESPARSE_RETURN_IF_ERROR(bpe.read_merges(fields.raw("merges"), label + ".merges"));
  ESPARSE_RETURN_IF_ERROR(bpe.read_flags(fields));
  bpe.index_characters();
  return bpe;
}

Status BpeModel::read_vocab(const Json& vocab, const std::string& label) {
  if (!vocab.is_object()) return corruption("{}: expected an object, got {}", label, vocab.type_name());
  int64_t limit = 0;
  for (auto entry = vocab.begin(); entry != vocab.end(); ++entry) {
    const bool integer = entry->is_number_integer();
    const int64_t id = integer ? entry->get<int64_t>() : -1;
    if (id < 0 || id > kMaxTokenId) {
      return corruption("{}: token \"{}\": expected an id from 0 to {}, got {}", label, entry.key(), kMaxTokenId,
                        entry->is_primitive() ? entry->dump() : entry->type_name());
    }
    limit = std::max(limit, id + 1);
  }
  tokens_.resize(static_cast<size_t>(limit));
  index_.reserve(vocab.size());
  for (auto entry = vocab.begin(); entry != vocab.end(); ++entry) {
    const auto id = entry->get<int32_t>();
    std::optional<std::string>& token = tokens_[static_cast<size_t>(id)];
    if (token) return corruption("{}: tokens \"{}\" and \"{}\" have the same id {}", label, *token, entry.key(), id);
    token = entry.key();
    index_.emplace(*token, id);
  }
  return {};
}

Status BpeModel::read_merges(const Json& merges, const std::string& label) {
  if (!merges.is_array()) return corruption("{}: expected an array, got {}", label, merges.type_name());
  merges_ = MergeTable(merges.size());
  int32_t rank = 0;
  std::string joined;
  for (const Json& merge : merges) {
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) continue;
    std::string_view left;
    std::string_view right;
    if (!read_pair(merge, left, right)) {
      return corruption("{}: entry {}: expected \"a b\" or [\"a\", \"b\"]", label, rank);
    }
    joined.assign(left).append(right);
    for (const std::string_view part : {left, right, std::string_view(joined)}) {
      if (!index_.contains(part)) {
        return corruption("{}: entry {}: token \"{}\" is not in the vocabulary", label, rank, part);
      }
    }
    merges_.put(index_.at(left), index_.at(right), {rank, index_.at(joined)});
    ++rank;
  }
  return {};
}

Status BpeModel::read_flags(const JsonFields& fields) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    ESPARSE_ASSIGN_OR_RETURN(const std::string affix, fields.string(key, ""));
    if (!affix.empty()) return unsupported("{}: {} \"{}\" is not supported", label_, key, affix);
  }
  ESPARSE_ASSIGN_OR_RETURN(const double dropout, fields.number("dropout", 0.0));
  if (dropout != 0.0) return unsupported("{}: dropout {} is not supported", label_, dropout);
  ESPARSE_ASSIGN_OR_RETURN(fuse_unk_, fields.boolean("fuse_unk", false));
  ESPARSE_ASSIGN_OR_RETURN(byte_fallback_, fields.boolean("byte_fallback", false));
  ESPARSE_ASSIGN_OR_RETURN(ignore_merges_, fields.boolean("ignore_merges", false));
  if (fields.has("unk_token")) {
    ESPARSE_ASSIGN_OR_RETURN(unk_token_, fields.string("unk_token"));
    unk_id_ = token_id(*unk_token_).value_or(-1);
  }
  return {};
}

void BpeModel::index_characters() {
  for (char32_t value = 0; value < low_character_ids_.size(); ++value) {
    std::string character;
    append_utf8(character, value);
    low_character_ids_[value] = token_id(character).value_or(-1);
  }
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = token_id(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

std::optional<int32_t> BpeModel::token_id(std::string_view token) const {
  const auto entry = index_.find(token);
  if (entry == index_.end()) return std::nullopt;
  return entry->second;
}

const std::string* BpeModel::token(int64_t id) const {
  if (id < 0 || id >= id_limit()) return nullptr;
  const std::optional<std::string>& token = tokens_[static_cast<size_t>(id)];
  return token ? &*token : nullptr;
}

int32_t BpeModel::character_id(std::string_view character, char32_t value) const {
  if (value < low_character_ids_.size()) return low_character_ids_[value];
  return token_id(character).value_or(-1);
}

bool BpeModel::add_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  for (const char c : character) {
    if (byte_ids_[static_cast<uint8_t>(c)] < 0) return false;
  }
  for (const char c : character) symbols.push_back({.id = byte_ids_[static_cast<uint8_t>(c)]});
  return true;
}

// One symbol per character, or per byte of a character that is not in the vocabulary, or the unknown token.
Status BpeModel::split_characters(std::string_view word, std::vector<Symbol>& symbols) const {
  bool unknown = false;  // an unknown token waits for what follows, because runs of it may be fused
  for (size_t at = 0; at < word.size();) {
    const CodePoint point = code_point_at(word, at);
    const std::string_view character = word.substr(at, point.bytes);
    at += point.bytes;
    if (const int32_t id = character_id(character, point.value); id >= 0) {
      if (unknown) symbols.push_back({.id = unk_id_});
      unknown = false;
      symbols.push_back({.id = id});
      continue;
    }
    // Bytes do not flush a waiting unknown token; neither does the reference.
    if (byte_fallback_ && add_bytes(character, symbols)) continue;
    if (!unk_token_) continue;  // without an unknown token the character is dropped
    if (unk_id_ < 0) return corruption("{}: unk_token \"{}\" is not in the vocabulary", label_, *unk_token_);
    if (unknown && !fuse_unk_) symbols.push_back({.id = unk_id_});
    unknown = true;
  }
  if (unknown) symbols.push_back({.id = unk_id_});
  return {};
}

// The merge of the symbol with its right neighbour, if there is one.
std::optional<BpeModel::Candidate> BpeModel::candidate_at(const std::vector<Symbol>& symbols, int32_t position) const {
  const Symbol& left = symbols[static_cast<size_t>(position)];
  if (left.next < 0) return std::nullopt;
  const MergeTable::Merge* merge = merges_.find(left.id, symbols[static_cast<size_t>(left.next)].id);
  if (merge == nullptr) return std::nullopt;
  return Candidate{merge->rank, position, merge->id};
}

// Always the merge of lowest rank, the leftmost of equal ones: a heap of candidates over a linked list of symbols.
void BpeModel::merge_all(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
  std::vector<Candidate> initial;
  initial.reserve(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    if (const auto found = candidate_at(symbols, i)) initial.push_back(*found);
  }
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  std::priority_queue queue(later, std::move(initial));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(top.position)];
    // Candidates are not withdrawn when a neighbour changes; a stale one no longer gives the token it promised.
    if (!left.alive) continue;
    const std::optional<Candidate> current = candidate_at(symbols, top.position);
    if (!current || current->id != top.id) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    left.id = top.id;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = top.position;
    for (const int32_t position : {left.previous, top.position}) {
      if (position < 0) continue;
      if (const auto found = candidate_at(symbols, position)) queue.push(*found);
    }
  }
}

Status BpeModel::tokenize(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    if (const std::optional<int32_t> id = token_id(word)) {
      ids.push_back(*id);
      return {};
    }
  }
  if (word.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return invalid_argument("{}: a word of {} bytes is too long", label_, word.size());
  }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  ESPARSE_RETURN_IF_ERROR(split_characters(word, symbols));
  merge_all(symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
  return {};
}

}  // namespace esparse
