#include "sparse/nm_matrix.h"

#include <bit>
#include <optional>
#include <string>

#include "sparse/bit_rows.h"
#include "sparse/weight_words.h"

namespace esparse {
namespace {

Status check_shape(NmPattern pattern, DType dtype, int64_t out_features, int64_t in_features) {
  if (pattern.valid()) return check_weight_shape(dtype, out_features, in_features);
  return invalid_argument("pattern {}: expected 1 <= N < M <= {}", pattern.text(), NmPattern::kMaxGroup);
}

// One group of a row, for walking along it: M columns from `first` on, fewer at the end of the row.
struct Group {
  Group(NmPattern pattern, int64_t in_features, int64_t first_column)
      : first(first_column),
        width(static_cast<int>(std::min<int64_t>(pattern.group, in_features - first_column))),
        kept(width == pattern.group ? pattern.kept : static_cast<int>(pattern.kept_in(width))) {}
  std::string name(int64_t row, NmPattern pattern) const {
    return fmt::format("row {}, group {} (columns {}..{})", row, first / pattern.group, first, first + width - 1);
  }

  int64_t first;
  int width;
  int kept;
};

// The bits of the group's words that are not zero; nothing when a word is not finite.
template <typename Word>
std::optional<uint32_t> nonzero_bits(const std::byte* words, const Group& group) {
  uint32_t bits = 0;
  bool finite = true;
  for (int k = 0; k < group.width; ++k) {
    const auto word = Word::load(words, group.first + k);
    finite &= Word::is_finite(word);
    bits |= static_cast<uint32_t>(!Word::is_zero(word)) << k;
  }
  return finite ? std::optional(bits) : std::nullopt;
}

template <typename Word>
Status pack_row(const std::byte* weight, int64_t row, NmMatrix& packed) {
  const NmPattern pattern = packed.pattern;
  const NmView view = packed.view();
  const std::byte* source = weight + row * packed.in_features * dtype_bytes(packed.dtype);
  BitWriter bitmask(packed.bitmask.data() + row * view.bitmask_row_bytes());
  int64_t slot = row * view.kept_per_row();
  for (int64_t first = 0; first < packed.in_features; first += pattern.group) {
    const Group group(pattern, packed.in_features, first);
    const std::optional<uint32_t> nonzero = nonzero_bits<Word>(source, group);
    if (!nonzero) return numeric_error("{}: expected finite values, got NaN or infinity", group.name(row, pattern));
    uint32_t bits = *nonzero;
    int count = std::popcount(bits);
    if (count > group.kept) {
      return invalid_argument("{}: expected at most {} non-zeros for pattern {}, got {}", group.name(row, pattern),
                              group.kept, pattern.text(), count);
    }
    for (; count < group.kept; ++count) bits |= bits + 1;  // sets the lowest clear bit
    bitmask.append(bits, group.width);
    for (; bits != 0; bits &= bits - 1) {
      const auto word = Word::load(source, first + std::countr_zero(bits));
      Word::store(packed.values.data(), slot++, Word::is_zero(word) ? typename Word::word{0} : word);
    }
  }
  bitmask.flush();
  return {};
}

// Whether every field of `group` bits (a power of two) holds `kept` ones: neighbouring fields are added until they are
// as wide as a group, as in the classic population count.
template <int group>
bool words_have_kept(const uint8_t* bitmask, int64_t words, int kept) {
  constexpr uint64_t kAll = ~uint64_t{0};
  const uint64_t expected = static_cast<uint64_t>(kept) * (kAll / ((uint64_t{1} << group) - 1));
  uint64_t difference = 0;
  for (int64_t k = 0; k < words; ++k) {
    uint64_t counts;
    std::memcpy(&counts, bitmask + 8 * k, 8);
    for (int width = 1; width < group; width *= 2) {
      const uint64_t low_fields = kAll / ((uint64_t{1} << width) + 1);
      counts = (counts & low_fields) + (counts >> width & low_fields);
    }
    difference |= counts ^ expected;
  }
  return difference == 0;
}

// How many leading columns of a row are known to be right; the common patterns are checked 64 columns at a time.
int64_t columns_checked_by_words(const uint8_t* bitmask, int64_t in_features, NmPattern pattern) {
  const int64_t words = in_features / 64;
  bool right = false;
  switch (pattern.group) {
    case 2:
      right = words_have_kept<2>(bitmask, words, pattern.kept);
      break;
    case 4:
      right = words_have_kept<4>(bitmask, words, pattern.kept);
      break;
    case 8:
      right = words_have_kept<8>(bitmask, words, pattern.kept);
      break;
    case 16:
      right = words_have_kept<16>(bitmask, words, pattern.kept);
      break;
    case 32:
      right = words_have_kept<32>(bitmask, words, pattern.kept);
      break;
  }
  return right ? words * 64 : 0;
}

Status check_bits(const NmView& packed, const uint8_t* bitmask, int64_t row) {
  const int64_t checked = columns_checked_by_words(bitmask, packed.in_features, packed.pattern);
  BitReader reader(bitmask + checked / 8);
  for (int64_t first = checked; first < packed.in_features; first += packed.pattern.group) {
    const Group group(packed.pattern, packed.in_features, first);
    const int count = std::popcount(reader.next(group.width));
    if (count == group.kept) continue;
    return corruption("{}: expected {} bits set for pattern {}, got {}", group.name(row, packed.pattern), group.kept,
                      packed.pattern.text(), count);
  }
  if (reader.rest() == 0) return {};
  return pad_bits_error(row);
}

template <typename Word>
Status check_row(const NmView& packed, const std::byte* values, const uint8_t* bitmask, int64_t row) {
  ESPARSE_RETURN_IF_ERROR(check_bits(packed, bitmask + row * packed.bitmask_row_bytes(), row));
  return check_finite_values<Word>(values, row * packed.kept_per_row(), packed.kept_per_row(), row);
}

}  // namespace

NmView NmMatrix::view() const { return {pattern, dtype, out_features, in_features, values.data(), bitmask.data()}; }

Result<NmMatrix> pack_nm(NmPattern pattern, DType dtype, std::span<const std::byte> weight, int64_t out_features,
                         int64_t in_features) {
  ESPARSE_RETURN_IF_ERROR(check_shape(pattern, dtype, out_features, in_features));
  ESPARSE_RETURN_IF_ERROR(check_bytes("weight", weight.size(), out_features, in_features * dtype_bytes(dtype)));
  NmMatrix packed{pattern, dtype, out_features, in_features, {}, {}};
  packed.values.resize(packed.view().values_bytes());
  packed.bitmask.resize(packed.view().bitmask_bytes());
  ESPARSE_RETURN_IF_ERROR(with_weight_word(dtype, [&](auto word) {
    return for_each_row(out_features, in_features,
                        [&](int64_t row) { return pack_row<decltype(word)>(weight.data(), row, packed); });
  }));
  return packed;
}

std::vector<std::byte> unpack_nm(const NmView& packed) { return unpack_rows(bit_rows(packed)); }

void unpack_nm_rows_f32(const NmView& packed, int64_t first, int64_t count, MatrixView<float> target) {
  unpack_rows_f32(bit_rows(packed), first, count, target);
}

Status validate_nm(const NmView& packed, std::span<const std::byte> values, std::span<const uint8_t> bitmask) {
  ESPARSE_RETURN_IF_ERROR(check_shape(packed.pattern, packed.dtype, packed.out_features, packed.in_features));
  ESPARSE_RETURN_IF_ERROR(
      check_bytes("values", values.size(), packed.out_features, packed.kept_per_row() * dtype_bytes(packed.dtype)));
  ESPARSE_RETURN_IF_ERROR(check_bytes("bitmask", bitmask.size(), packed.out_features, packed.bitmask_row_bytes()));
  return with_weight_word(packed.dtype, [&](auto word) {
    return for_each_row(packed.out_features, packed.in_features, [&](int64_t row) {
      return check_row<decltype(word)>(packed, values.data(), bitmask.data(), row);
    });
  });
}

}  // namespace esparse
