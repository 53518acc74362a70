#include "sparse/inventory.h"

#include <algorithm>
#include <cstring>

#include "sparse/bitmap_storage.h"
#include "sparse/nm_storage.h"
#include "sparse/packed_tensors.h"
#include "sparse/spense_storage.h"

namespace esparse {
namespace {

constexpr std::string_view kNmValues = ".weight.nm_values", kBitmapValues = ".weight.bitmap_values",
                           kSpenseValues = ".weight.spense_values";

template <typename Word>
int64_t count_nonzero_words(std::span<const std::byte> bytes, Word value_bits) {
  int64_t count = 0;
  for (size_t at = 0; at < bytes.size(); at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + at, sizeof(Word));
    count += (word & value_bits) != 0;
  }
  return count;
}

// -0.0 counts as zero, so the sign bit of floating-point types is left out.
int64_t count_nonzero(DType dtype, std::span<const std::byte> bytes) {
  const bool is_float = is_weight_dtype(dtype) || dtype == DType::f64;
  switch (dtype_bytes(dtype)) {
    case 1:
      return count_nonzero_words<uint8_t>(bytes, 0xff);
    case 2:
      return count_nonzero_words<uint16_t>(bytes, is_float ? 0x7fff : 0xffff);
    case 4:
      return count_nonzero_words<uint32_t>(bytes, is_float ? 0x7fffffff : 0xffffffff);
    default:
      return count_nonzero_words<uint64_t>(bytes, is_float ? ~uint64_t{0} >> 1 : ~uint64_t{0});
  }
}

// In slabs whose pages are given back, so that memory need not hold a large tensor.
int64_t count_nonzero(const TensorStore& store, const TensorInfo& tensor) {
  constexpr size_t kSlabBytes = size_t{16} << 20;
  int64_t count = 0;
  for (auto rest = tensor.data; !rest.empty();) {
    const auto slab = rest.first(std::min(kSlabBytes, rest.size()));
    count += count_nonzero(tensor.dtype, slab);
    store.release_pages(slab);
    rest = rest.subspan(slab.size());
  }
  return count;
}

void add_entry(Inventory& inventory, InventoryEntry entry, int64_t elements, int64_t nonzero) {
  entry.density = elements == 0 ? 1.0 : static_cast<double>(nonzero) / static_cast<double>(elements);
  inventory.bytes_dense += entry.bytes_dense;
  inventory.bytes_now += entry.bytes_now;
  inventory.elements += elements;
  inventory.nonzero += nonzero;
  inventory.entries.push_back(std::move(entry));
}

// The shape record says what the file claims; load_nm() then checks everything else against it.
Result<NmView> load_claimed_nm(const TensorStore& store, const std::string& prefix) {
  ESPARSE_ASSIGN_OR_RETURN(const auto claimed, load_record<5>(store, prefix + ".weight.nm_shape"));
  return load_nm(store, prefix, claimed[3], claimed[4]);
}

template <typename View>
int64_t stored_bytes(const View& packed) {
  return packed.values_bytes() + packed.bitmask_bytes();
}
int64_t stored_bytes(const SpenseView& packed) { return packed.bytes(); }

template <typename View>
int64_t count_nonzero(const View& packed) {
  return count_nonzero(packed.dtype, std::span(packed.values, static_cast<size_t>(packed.values_bytes())));
}
int64_t count_nonzero(const SpenseView& packed) {
  return count_nonzero(std::get<NmView>(packed.sparse)) +
         count_nonzero(packed.dtype, std::span(packed.dense.data, static_cast<size_t>(packed.dense.bytes())));
}

// One entry for the tensors of a packed weight; `pattern` is "2:4", "bitmap" or "spense 2:4 + 96 dense rows".
template <typename View>
void add_packed(Inventory& inventory, const TensorStore& store, const std::string& prefix, const std::string& pattern,
                const View& packed) {
  const int64_t elements = packed.out_features * packed.in_features;
  add_entry(inventory,
            {.name = prefix + ".weight",
             .shape = {packed.out_features, packed.in_features},
             .format = pattern + " " + std::string(dtype_name(packed.dtype)),
             .bytes_dense = elements * dtype_bytes(packed.dtype),
             .bytes_now = stored_bytes(packed),
             .packed = true},
            elements, count_nonzero(packed));
  store.release_pages(prefix + ".weight.");
}

// True for the tensors of a packed weight that stand beside its values.
bool is_companion(std::string_view name) {
  for (const char* suffix : {".nm_bitmask", ".nm_shape", ".bitmap_bitmask", ".bitmap_shape", ".spense_bitmask",
                             ".spense_dense", ".spense_shape"})
    if (name.ends_with(std::string(".weight") + suffix)) return true;
  return false;
}

}  // namespace

Result<Inventory> take_inventory(const TensorStore& store) {
  Inventory inventory;
  for (const auto& [name, tensor] : store.tensors()) {
    if (is_companion(name)) continue;
    if (name.ends_with(kNmValues)) {
      const std::string prefix = name.substr(0, name.size() - kNmValues.size());
      ESPARSE_ASSIGN_OR_RETURN(const NmView packed, load_claimed_nm(store, prefix));
      add_packed(inventory, store, prefix, packed.pattern.text(), packed);
      continue;
    }
    if (name.ends_with(kBitmapValues)) {
      const std::string prefix = name.substr(0, name.size() - kBitmapValues.size());
      ESPARSE_ASSIGN_OR_RETURN(const LoadedBitmap packed, load_bitmap(store, prefix));
      add_packed(inventory, store, prefix, "bitmap", packed.view);
      continue;
    }
    if (name.ends_with(kSpenseValues)) {
      const std::string prefix = name.substr(0, name.size() - kSpenseValues.size());
      ESPARSE_ASSIGN_OR_RETURN(const SpenseView packed, load_spense(store, prefix));
      add_packed(inventory, store, prefix,
                 fmt::format("spense {} + {} dense {}", packed.pattern().text(), packed.dense_count(),
                             spense_axis_name(packed.split)),
                 packed);
      continue;
    }
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    add_entry(inventory,
              {.name = name,
               .shape = tensor.shape,
               .format = std::string(dtype_name(tensor.dtype)),
               .bytes_dense = bytes,
               .bytes_now = bytes},
              tensor.element_count(), count_nonzero(store, tensor));
  }
  return inventory;
}

}  // namespace esparse
