#include "gpu/device_linear.h"

#include <algorithm>

#include "gpu/launch_shapes.h"
#include "kernels/cuda/few_bits.h"
#include "kernels/cuda/linear_parts.h"
#include "kernels/cuda/tile_layout.h"

namespace esparse {
namespace {

constexpr int64_t kCounterBytes = 4096 * 4;     // at the start of the scratch memory, zero between products
constexpr int64_t kMostSlabBytes = 64ll << 20;  // of expanded rows: they stay in the L2 cache until they are read

// One product of one region of a weight: its x begins at another column, its y at another row.
struct Product {
  Device& device;
  cuda::Element type;
  const uint16_t* x;
  int64_t x_stride;
  int64_t tokens;
  const float* bias;
  LinearOutput y;
  const LinearScratch& scratch;

  Product from_column(int64_t column) const {
    Product other = *this;
    other.x += column;
    return other;
  }
  Product from_row(int64_t row) const {
    Product other = *this;
    other.y.data = static_cast<std::byte*>(y.data) + row * cuda::element_bytes(y.type);
    if (bias != nullptr) other.bias += row;
    return other;
  }
  Product of_tokens(int64_t first, int64_t count) const {
    Product other = *this;
    other.x += first * x_stride, other.tokens = count;
    other.y.data = static_cast<std::byte*>(y.data) + first * y.stride * cuda::element_bytes(y.type);
    return other;
  }
  // To be added to what is there.
  Product added() const {
    Product other = *this;
    other.bias = nullptr, other.y.add = true;
    return other;
  }
};

Status launched(const Product& product, cuda::LaunchCode code, std::string_view kernel, int64_t rows, int64_t columns) {
  return product.device.launched(code, kernel, {product.tokens, columns, rows});
}

// Whether a kernel may start before the one before it has ended.
bool starts_early(const Device& device) { return device.info().compute_major >= 9; }

// Memory behind the counters.
Result<std::byte*> scratch_of(const Product& product, int64_t bytes) {
  const DeviceBytes& memory = product.scratch.memory;
  if (memory.bytes() < kCounterBytes + bytes)
    return internal_error("device_linear: {} bytes of scratch memory needed, got {}", kCounterBytes + bytes,
                          memory.bytes());
  return memory.data() + kCounterBytes;
}

// y += x w^T with the library; y holds the bias by then.
Status add_by_library(const Product& product, const void* w, int64_t rows, int64_t columns, int64_t stride, bool add) {
  const cuda::Backend& backend = product.device.backend();
  if (backend.gemm == nullptr) return unsupported("{}: this build has no library for dense products", backend.name);
  cuda::GemmArgs args;
  args.x = product.x, args.w = w, args.y = product.y.data;
  args.tokens = product.tokens, args.in = columns, args.out = rows;
  args.x_stride = product.x_stride, args.w_stride = stride, args.y_stride = product.y.stride;
  args.type = product.type, args.y_type = product.y.type, args.add = add;
  return backend.gemm->gemm(args, product.device.stream());
}

// The library has no bias of f32, so that one is written to y first. Returns whether the product is to be added.
Result<bool> write_bias(const Product& product, int64_t rows) {
  if (product.bias == nullptr) return product.y.add;
  const LinearOutput& y = product.y;
  const cuda::BiasArgs args{product.bias, y.data, y.stride, product.tokens, rows, y.type, y.add};
  Device& device = product.device;
  ESPARSE_RETURN_IF_ERROR(
      device.launched(device.backend().linear_parts->bias(args, device.stream()), "bias", {product.tokens, rows}));
  return true;
}

Status by_library(const Product& product, const DeviceDense& dense) {
  ESPARSE_ASSIGN_OR_RETURN(const bool add, write_bias(product, dense.rows));
  return add_by_library(product, dense.data.data(), dense.rows, dense.columns, dense.stride, add);
}

// Rows of a slab: a multiple of 16, at least one row block.
int64_t slab_rows(int64_t rows, int64_t columns) {
  const int64_t stride = (columns + 7) / 8 * 8;
  return std::clamp(kMostSlabBytes / (2 * stride) / 16 * 16, int64_t{16}, (rows + 15) / 16 * 16);
}
int64_t slab_bytes(int64_t rows, int64_t columns) { return slab_rows(rows, columns) * ((columns + 7) / 8 * 8) * 2; }

cuda::BitRows rows_of(const DeviceBits& bits) {
  return {bits.values.as<uint16_t>(),
          bits.bitmask.as<uint8_t>(),
          bits.row_offsets.as<int64_t>(),
          bits.kept_per_row,
          bits.rows,
          bits.columns};
}
cuda::LaunchCode expand_rows(Device& device, const DeviceTiles& tiles, int64_t first, int64_t count, uint16_t* target,
                             int64_t stride) {
  const cuda::ExpandTilesArgs args{tiles.data.as<uint8_t>(), tiles.columns, first, count, target, stride};
  return device.backend().linear_parts->expand_tiles(args, device.stream());
}
cuda::LaunchCode expand_rows(Device& device, const DeviceBits& bits, int64_t first, int64_t count, uint16_t* target,
                             int64_t stride) {
  return device.backend().linear_parts->expand_bits({rows_of(bits), first, count, target, stride}, device.stream());
}

template <typename Part>
Status by_expansion(const Product& product, const Part& part) {
  ESPARSE_ASSIGN_OR_RETURN(const bool add, write_bias(product, part.rows));
  const int64_t slab = slab_rows(part.rows, part.columns), stride = (part.columns + 7) / 8 * 8;
  ESPARSE_ASSIGN_OR_RETURN(std::byte* const memory, scratch_of(product, slab * stride * 2));
  auto* target = reinterpret_cast<uint16_t*>(memory);
  for (int64_t first = 0; first < part.rows; first += slab) {
    const int64_t count = std::min(slab, part.rows - first);
    ESPARSE_RETURN_IF_ERROR(product.device.launched(expand_rows(product.device, part, first, count, target, stride),
                                                    "expand_rows", {count, part.columns}));
    ESPARSE_RETURN_IF_ERROR(add_by_library(product.from_row(first), target, count, part.columns, stride, add));
  }
  return {};
}

cuda::FewArgs regions(const DeviceDense* dense, const DeviceTiles* tiles, bool stacked) {
  cuda::FewArgs args{};
  if (tiles != nullptr) {
    args.tiles = tiles->data.as<uint8_t>();
    args.sparse_rows = static_cast<int>(tiles->rows), args.sparse_columns = static_cast<int>(tiles->columns);
  }
  if (dense != nullptr) {
    args.dense = dense->data.data(), args.dense_stride = dense->stride;
    args.dense_rows = static_cast<int>(dense->rows), args.dense_columns = static_cast<int>(dense->columns);
  }
  args.stacked = stacked;
  return args;
}

Status by_few(const Product& product, cuda::FewArgs args) {
  args.x = product.x, args.x_stride = product.x_stride, args.tokens = static_cast<int>(product.tokens);
  args.bias = product.bias, args.y = product.y.data, args.y_stride = product.y.stride;
  args.type = product.type, args.y_type = product.y.type, args.add = product.y.add;
  Device& device = product.device;
  args.early = starts_early(device);
  const FewShape shape = few_shape(args, device.info().multiprocessors);
  args.config = shape.config, args.splits = shape.splits;
  ESPARSE_ASSIGN_OR_RETURN(std::byte* const memory, scratch_of(product, shape.partial_bytes));
  args.counters = product.scratch.memory.as<uint32_t>(), args.partials = reinterpret_cast<float*>(memory);
  return launched(product, device.backend().few_linear->few(args, device.stream()), "few",
                  args.sparse_rows + (args.stacked || args.sparse_rows == 0 ? args.dense_rows : 0),
                  args.sparse_columns + (args.stacked ? 0 : args.dense_columns));
}

Status by_bits(const Product& product, const DeviceBits& bits) {
  const LinearOutput& y = product.y;
  cuda::FewBitsArgs args{};
  args.weight = rows_of(bits);
  args.x = product.x, args.x_stride = product.x_stride, args.tokens = static_cast<int>(product.tokens);
  args.bias = product.bias, args.y = y.data, args.y_stride = y.stride;
  args.type = product.type, args.y_type = y.type, args.add = y.add;
  args.early = starts_early(product.device);
  return launched(product, product.device.backend().few_bits->few(args, product.device.stream()), "few_bits", bits.rows,
                  bits.columns);
}

Status by_sparse_gemm(const Product& product, const DeviceTiles& tiles) {
  const LinearOutput& y = product.y;
  cuda::PrefillArgs args{};
  args.tiles = tiles.data.as<uint8_t>();
  args.rows = static_cast<int>(tiles.rows), args.columns = static_cast<int>(tiles.columns);
  args.x = product.x, args.x_stride = product.x_stride, args.tokens = static_cast<int>(product.tokens);
  args.bias = product.bias, args.y = y.data, args.y_stride = y.stride;
  args.type = product.type, args.y_type = y.type, args.add = y.add;
  Device& device = product.device;
  args.config = prefill_config(tiles.rows, product.tokens, device.info().multiprocessors);
  return launched(product, device.backend().prefill_linear->sparse(args, device.stream()), "sparse_gemm", tiles.rows,
                  tiles.columns);
}

// Whole tokens for the library; its y has 16 bits, so that another y is made of it afterwards.
Status by_library_copy(const Product& product, const DeviceTiles& tiles) {
  const cuda::Backend& backend = product.device.backend();
  const cuda::Stream stream = product.device.stream();
  const LinearOutput& y = product.y;
  if (y.type == product.type && y.stride % cuda::SparseLibrary::kTokenMultiple == 0) {
    ESPARSE_ASSIGN_OR_RETURN(const bool add, write_bias(product, tiles.rows));
    return backend.sparse_library->multiply(
        *tiles.library_copy, {product.x, y.data, product.tokens, product.x_stride, y.stride, add}, stream);
  }
  ESPARSE_ASSIGN_OR_RETURN(std::byte* const memory, scratch_of(product, product.tokens * tiles.rows * 2));
  ESPARSE_RETURN_IF_ERROR(backend.sparse_library->multiply(
      *tiles.library_copy, {product.x, memory, product.tokens, product.x_stride, tiles.rows, false}, stream));
  const cuda::AddRowsArgs args{memory,   tiles.rows, product.type, product.bias,   y.data,
                               y.stride, y.type,     y.add,        product.tokens, tiles.rows};
  return product.device.launched(backend.linear_parts->add_rows(args, stream), "add_rows",
                                 {product.tokens, tiles.rows});
}

// As many tokens at once as the scratch memory is for.
int64_t library_tokens(int64_t rows) { return std::max<int64_t>(kMostSlabBytes / (2 * rows) / 64 * 64, 64); }

// The library takes tokens by eights; the others are few.
Status by_sparse_library(const Product& product, const DeviceTiles& tiles) {
  const int64_t whole = product.tokens / cuda::SparseLibrary::kTokenMultiple * cuda::SparseLibrary::kTokenMultiple;
  const int64_t most = library_tokens(tiles.rows);
  for (int64_t first = 0; first < whole; first += most)
    ESPARSE_RETURN_IF_ERROR(by_library_copy(product.of_tokens(first, std::min(most, whole - first)), tiles));
  if (whole == product.tokens) return {};
  return by_few(product.of_tokens(whole, product.tokens - whole), regions(nullptr, &tiles, false));
}

// The path has been checked to be possible for the form.
Status multiply(const Product& product, const DeviceDense& dense, DevicePath path) {
  return path == DevicePath::few ? by_few(product, regions(&dense, nullptr, false)) : by_library(product, dense);
}
Status multiply(const Product& product, const DeviceTiles& tiles, DevicePath path) {
  if (path == DevicePath::few) return by_few(product, regions(nullptr, &tiles, false));
  if (path == DevicePath::sparse_library) return by_sparse_library(product, tiles);
  return path == DevicePath::sparse_gemm ? by_sparse_gemm(product, tiles) : by_expansion(product, tiles);
}
Status multiply(const Product& product, const DeviceBits& bits, DevicePath path) {
  return path == DevicePath::bits ? by_bits(product, bits) : by_expansion(product, bits);
}
// Both regions in one launch where tokens are few; otherwise one after the other, the second added to the first where
// they share rows.
Status multiply(const Product& product, const DeviceSpense& spense, DevicePath path) {
  const bool stacked = spense.split == SpenseSplit::out;
  if (path == DevicePath::few)
    return by_few(product, regions(&spense.dense, &std::get<DeviceTiles>(spense.sparse), stacked));
  return std::visit(
      [&](const auto& sparse) -> Status {
        ESPARSE_RETURN_IF_ERROR(multiply(product, sparse, path));
        return by_library(stacked ? product.from_row(sparse.rows) : product.from_column(sparse.columns).added(),
                          spense.dense);
      },
      spense.sparse);
}

Status check(Device& device, const DeviceWeight& weight, int64_t tokens, const LinearOutput& y, DevicePath path) {
  if (y.type != weight.type && y.type != cuda::Element::f32)
    return internal_error("device_linear: y is neither f32 nor of the type of x");
  if (y.add && y.type != cuda::Element::f32) return internal_error("device_linear: only f32 can be added to");
  if (y.stride < weight.out_features)
    return internal_error("device_linear: rows of {} do not fit into a stride of {}", weight.out_features, y.stride);
  const cuda::DeviceInfo& gpu = device.info();
  const bool of_matrix_instructions =
      path == DevicePath::few || path == DevicePath::sparse_gemm || path == DevicePath::sparse_library;
  if (of_matrix_instructions && gpu.compute_major < 8)
    return unsupported(
        "path {} on {}: needs compute capability 8.0 or newer for mma.sp, got {}.{}; expand does without",
        path_name(path), gpu.name, gpu.compute_major, gpu.compute_minor);
  const auto possible = possible_paths(weight.form(), gpu, tokens, weight.has_library_copy());
  if (std::find(possible.begin(), possible.end(), path) == possible.end())
    return invalid_argument("path {}: not for {} and {} tokens", path_name(path), form_name(weight.form()), tokens);
  return {};
}

// The regions as by_few() would see them.
cuda::FewArgs few_regions(const DeviceWeight& weight) {
  if (const auto* dense = std::get_if<DeviceDense>(&weight.parts)) return regions(dense, nullptr, false);
  if (const auto* tiles = std::get_if<DeviceTiles>(&weight.parts)) return regions(nullptr, tiles, false);
  const auto& spense = std::get<DeviceSpense>(weight.parts);
  return regions(&spense.dense, &std::get<DeviceTiles>(spense.sparse), spense.split == SpenseSplit::out);
}

int64_t few_scratch_bytes(const DeviceWeight& weight, int64_t max_tokens) {
  int64_t most = 0;
  cuda::FewArgs args = few_regions(weight);
  for (int tokens = 1; tokens <= std::min<int64_t>(max_tokens, cuda::kFewTokens); ++tokens) {
    args.tokens = tokens;
    most = std::max(most, few_shape(args, weight.multiprocessors).partial_bytes);
  }
  return most;
}

int64_t expansion_bytes(const DeviceWeight& weight) {
  if (weight.form() == DeviceForm::dense) return 0;
  auto of = [](const auto& part) { return slab_bytes(part.rows, part.columns); };
  if (const auto* spense = std::get_if<DeviceSpense>(&weight.parts)) return std::visit(of, spense->sparse);
  if (const auto* tiles = std::get_if<DeviceTiles>(&weight.parts)) return of(*tiles);
  return of(std::get<DeviceBits>(weight.parts));
}

}  // namespace

int64_t linear_scratch_bytes(const DeviceWeight& weight, int64_t max_tokens) {
  const bool of_bits = weight.form() == DeviceForm::bits || weight.form() == DeviceForm::spense_bits;
  int64_t bytes = expansion_bytes(weight);
  if (!of_bits) bytes = std::max(bytes, few_scratch_bytes(weight, max_tokens));
  if (weight.has_library_copy())
    bytes = std::max(bytes, 2 * weight.out_features * std::min(max_tokens, library_tokens(weight.out_features)));
  return kCounterBytes + bytes;
}

Result<LinearScratch> make_linear_scratch(Device& device, int64_t bytes) {
  LinearScratch scratch;
  ESPARSE_ASSIGN_OR_RETURN(scratch.memory,
                           device.allocate(std::max(bytes, kCounterBytes), "scratch memory of linears"));
  ESPARSE_RETURN_IF_ERROR(
      device.backend().runtime->fill_bytes(scratch.memory.data(), 0, kCounterBytes, device.stream()));
  return scratch;
}

Status device_linear(Device& device, const DeviceWeight& weight, const void* x, int64_t tokens, const float* bias,
                     const LinearOutput& y, const LinearScratch& scratch) {
  if (tokens == 0) return {};
  const DevicePath path = weight.plan.path(tokens);
  ESPARSE_RETURN_IF_ERROR(check(device, weight, tokens, y, path));
  const Product product{device, weight.type, static_cast<const uint16_t*>(x), weight.in_features, tokens, bias,
                        y,      scratch};
  return std::visit([&](const auto& part) { return multiply(product, part, path); }, weight.parts);
}

}  // namespace esparse
