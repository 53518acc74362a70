#include "text/sentencepiece_guard.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

namespace esparse {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr uint64_t kNormalizerSpec = 3;
constexpr uint64_t kDenormalizerSpec = 5;
constexpr uint64_t kPrecompiledCharsmap = 2;

// The next field of a protobuf message; only bytes and messages have a `payload`.
struct Field {
  uint64_t number = 0;
  std::string_view payload;
};

std::optional<uint64_t> read_varint(std::string_view& in) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in.front());
    in.remove_prefix(1);
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<Field> read_field(std::string_view& in) {
  const std::optional<uint64_t> key = read_varint(in);
  if (!key) return std::nullopt;
  Field field{.number = *key >> 3, .payload = {}};
  uint64_t skip = 0;
  switch (*key & 7) {
    case 0:
      return read_varint(in) ? std::optional(field) : std::nullopt;
    case 1:
      skip = 8;
      break;
    case 5:
      skip = 4;
      break;
    case 2: {
      const std::optional<uint64_t> length = read_varint(in);
      if (!length || *length > in.size()) return std::nullopt;
      skip = *length;
      field.payload = in.substr(0, skip);
      break;
    }
    default:
      return std::nullopt;  // groups; no version of the format has any
  }
  if (skip > in.size()) return std::nullopt;
  in.remove_prefix(skip);
  return field;
}

// A Darts-clone double array from text to positions in a string of replacements. Subtrees may be shared.
class CharsmapCheck {
 public:
  Status check(std::string_view blob, const std::string& label) {
    uint32_t trie_bytes = 0;
    if (blob.size() <= sizeof(trie_bytes)) return damaged(label, "it is too short");
    std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
    blob.remove_prefix(sizeof(trie_bytes));
    if (trie_bytes >= blob.size() || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0) {
      return damaged(label, fmt::format("{} of its {} bytes are said to be the index", trie_bytes, blob.size()));
    }
    units_.resize(trie_bytes / sizeof(uint32_t));
    std::memcpy(units_.data(), blob.data(), trie_bytes);
    replacement_bytes_ = blob.size() - trie_bytes;
    below_.assign(units_.size(), kUnseen);
    if (matches_below(0, 0) > kMaxMatches) return damaged(label, "its index leads nowhere");
    return {};
  }

 private:
  static constexpr int kMaxMatches = 32;  // the library keeps that many results of one search
  static constexpr int kMaxDepth = 256;   // bytes of a key; real ones have fewer than 40
  static constexpr int kInvalid = 1000;
  static constexpr int kUnseen = -1;
  static constexpr int kOpen = -2;

  static Status damaged(const std::string& label, std::string_view what) {
    return corruption("{}: the normalization table is damaged: {}", label, what);
  }

  static uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }

  // The most keys that end on one way down from `node`, or kInvalid when a way leaves the array or comes back.
  int matches_below(uint32_t node, int depth) {
    if (below_[node] >= 0) return below_[node];
    if (below_[node] == kOpen || depth > kMaxDepth) return kInvalid;
    below_[node] = kOpen;
    const uint32_t base = node ^ offset(units_[node]);
    if ((base | 0xFFU) >= units_.size()) return kInvalid;
    int most = 0;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t child = base ^ byte;
      if ((units_[child] & 0x800000FFU) != byte) continue;
      most = std::max(most, matches_below(child, depth + 1));
      if (most >= kInvalid) return kInvalid;
    }
    const bool key_ends = node != 0 && ((units_[node] >> 8) & 1U) != 0;
    if (key_ends && (units_[base] & 0x7FFFFFFFU) >= replacement_bytes_) return kInvalid;
    below_[node] = most + (key_ends ? 1 : 0);
    return below_[node];
  }

  std::vector<uint32_t> units_;
  std::vector<int> below_;  // result by unit, or kUnseen, or kOpen on the way to the current one
  size_t replacement_bytes_ = 0;
};

Status check_spec(std::string_view spec, const std::string& label) {
  while (!spec.empty()) {
    const std::optional<Field> field = read_field(spec);
    if (!field) return corruption("{}: not a valid SentencePiece model: a field is cut short", label);
    if (field->number != kPrecompiledCharsmap || field->payload.empty()) continue;
    ESPARSE_RETURN_IF_ERROR(CharsmapCheck().check(field->payload, label));
  }
  return {};
}

}  // namespace

Status check_normalization_tables(std::string_view bytes, const std::string& label) {
  while (!bytes.empty()) {
    const std::optional<Field> field = read_field(bytes);
    if (!field) return corruption("{}: not a valid SentencePiece model: a field is cut short", label);
    if (field->number == kNormalizerSpec || field->number == kDenormalizerSpec) {
      ESPARSE_RETURN_IF_ERROR(check_spec(field->payload, label));
    }
  }
  return {};
}

}  // namespace esparse
