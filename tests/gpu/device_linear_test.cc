// Linears on the GPU, every form and path, against plain loops in double.
#include "gpu/device_linear.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/launch_shapes.h"
#include "kernels/cuda/test_backend.h"
#include "sparse/bitmap_matrix.h"
#include "sparse/nm_tiles.h"

namespace esparse {
namespace {

using cuda::Element;

std::vector<float> random_values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

DType dtype_of(Element type) {
  return type == Element::f32 ? DType::f32 : type == Element::f16 ? DType::f16 : DType::bf16;
}
std::vector<std::byte> as_bytes_of(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * static_cast<size_t>(dtype_bytes(type)));
  convert_from_f32(type, values, bytes.data());
  return bytes;
}
std::vector<float> as_floats(DType type, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(dtype_bytes(type)));
  convert_to_f32(type, bytes.data(), values);
  return values;
}

struct Shape {
  int64_t tokens, in, out;
};

// y = x W^T with W as `columns` of kept elements, sums in double, and the sum of magnitudes.
struct Reference {
  std::vector<double> sums, magnitudes;

  Reference(const std::vector<float>& w, const std::vector<float>& x, Shape shape)
      : sums(static_cast<size_t>(shape.tokens * shape.out)), magnitudes(sums.size()) {
    for (int64_t o = 0; o < shape.out; ++o)
      for (int64_t k = 0; k < shape.in; ++k) {
        const double weight = w[static_cast<size_t>(o * shape.in + k)];
        if (weight == 0) continue;
        for (int64_t t = 0; t < shape.tokens; ++t) {
          const double product = weight * x[static_cast<size_t>(t * shape.in + k)];
          sums[static_cast<size_t>(t * shape.out + o)] += product;
          magnitudes[static_cast<size_t>(t * shape.out + o)] += std::abs(product);
        }
      }
  }
};

struct OutputKind {
  Element type;
  bool add, bias;
};

class DeviceLinear : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Device::open(cuda::test_backend());
    ASSERT_TRUE(opened.ok());
    device_ = std::move(*opened);
  }

  // One product of the dense matrix `w` that `view` stands for, by every path of the weight and for several outputs.
  void check(const WeightView& view, const std::vector<float>& w, Element type, Shape shape) {
    auto weight = upload_weight(*device_, view, type);
    ASSERT_TRUE(weight.ok()) << weight.status().message();
    check_paths(*weight, w, type, shape);
  }

  void check_paths(DeviceWeight& weight, const std::vector<float>& w, Element type, Shape shape) {
    auto scratch = make_linear_scratch(*device_, linear_scratch_bytes(weight, shape.tokens));
    ASSERT_TRUE(scratch.ok());
    const DType dtype = dtype_of(type);
    const auto x_bytes = as_bytes_of(dtype, random_values(shape.tokens * shape.in, 2));
    const Reference reference(w, as_floats(dtype, x_bytes), shape);
    const auto x = device_->upload(x_bytes, "x");
    for (const DevicePath path :
         possible_paths(weight.form(), device_->info(), shape.tokens, weight.has_library_copy())) {
      weight.plan.paths.fill(path);
      for (const OutputKind kind :
           {OutputKind{Element::f32, false, false}, {Element::f32, true, true}, {type, false, true}})
        check_output(weight, x->data(), shape, kind, reference, *scratch);
    }
  }

  void check_output(const DeviceWeight& weight, const void* x, Shape shape, OutputKind kind, const Reference& reference,
                    const LinearScratch& scratch) {
    const std::vector<float> bias = random_values(shape.out, 3);
    const int64_t stride = shape.out + 3;
    std::vector<float> before = random_values(shape.tokens * stride, 4);
    if (!kind.add)  // nothing may be left of what was there
      for (float& value : before) value = std::numeric_limits<float>::quiet_NaN();
    const DType y_dtype = dtype_of(kind.type);
    const auto bias_device = device_->upload(std::as_bytes(std::span(bias)), "bias");
    const auto y_device = device_->upload(as_bytes_of(y_dtype, before), "y");
    const Status status =
        device_linear(*device_, weight, x, shape.tokens, kind.bias ? bias_device->as<float>() : nullptr,
                      {y_device->data(), kind.type, kind.add, stride}, scratch);
    ASSERT_TRUE(status.ok()) << status.message();
    std::vector<std::byte> y_bytes(static_cast<size_t>(y_device->bytes()));
    ASSERT_TRUE(device_->download(y_bytes, y_device->data()).ok());
    const std::vector<float> y = as_floats(y_dtype, y_bytes);
    for (int64_t t = 0; t < shape.tokens; ++t) {
      for (int64_t o = 0; o < shape.out; ++o) {
        const auto place = static_cast<size_t>(t * shape.out + o), in_y = static_cast<size_t>(t * stride + o);
        double sum = reference.sums[place], magnitude = reference.magnitudes[place];
        const double partial = magnitude;
        if (kind.bias) sum += bias[static_cast<size_t>(o)], magnitude += std::abs(bias[static_cast<size_t>(o)]);
        if (kind.add) sum += before[in_y], magnitude += std::abs(before[in_y]);
        // f32 sums of shape.in terms. A 16-bit y is rounded, and its bias or a part of the sum may have been before.
        const bool exact = kind.type == Element::f32 && weight.plan.paths[0] != DevicePath::sparse_library;
        const double unit = exact ? 0 : weight.type == Element::f16 ? 0x1p-11 : 0x1p-8;
        double rounded = std::abs(sum) + std::abs(reference.sums[place]) + std::abs(bias[static_cast<size_t>(o)]);
        if (weight.form() >= DeviceForm::spense_tiles) rounded += partial;
        const double slack = magnitude * static_cast<double>(shape.in + 4) * 0x1p-23 + unit * rounded;
        ASSERT_NEAR(y[in_y], sum, slack) << form_name(weight.form()) << " by " << path_name(weight.plan.paths[0])
                                         << " [" << shape.tokens << ", " << shape.in << ", " << shape.out << "] bias "
                                         << kind.bias << " add " << kind.add << " type " << static_cast<int>(kind.type)
                                         << " at " << t << ", " << o;
      }
      for (int64_t gap = shape.out; gap < stride; ++gap) {
        const float here = y[static_cast<size_t>(t * stride + gap)],
                    old = before[static_cast<size_t>(t * stride + gap)];
        ASSERT_TRUE(here == old || (std::isnan(here) && std::isnan(old))) << "written between the rows";
      }
    }
  }

  std::unique_ptr<Device> device_;
};

// A matrix of which each group of a pattern keeps what it may, at random places, and its values as they are stored.
struct Pruned {
  std::vector<float> dense;
  std::vector<std::byte> bytes;

  Pruned(NmPattern pattern, DType dtype, int64_t out, int64_t in, uint32_t seed) {
    dense = random_values(out * in, seed);
    std::mt19937 random(seed + 1);
    for (int64_t row = 0; row < out; ++row)
      for (int64_t first = 0; first < in; first += pattern.group) {
        const int64_t size = std::min<int64_t>(pattern.group, in - first);
        std::vector<int64_t> places(static_cast<size_t>(size));
        for (int64_t i = 0; i < size; ++i) places[static_cast<size_t>(i)] = row * in + first + i;
        std::shuffle(places.begin(), places.end(), random);
        for (int64_t i = pattern.kept_in(size); i < size; ++i)
          dense[static_cast<size_t>(places[static_cast<size_t>(i)])] = 0;
      }
    bytes = as_bytes_of(dtype, dense);
    dense = as_floats(dtype, bytes);
  }
};

const std::vector<int64_t> kRows = {1, 15, 16, 17, 100}, kColumns = {1, 4, 31, 32, 64, 100, 200},
                           kTokens = {1, 2, 7, 8, 9, 16, 33, 64, 65, 130};

// Every value of rows, columns and tokens beside several of the others, not all products.
std::vector<Shape> shapes() {
  std::vector<Shape> shapes;
  size_t i = 0;
  for (const int64_t tokens : kTokens)
    for (const int64_t columns : kColumns) shapes.push_back({tokens, columns, kRows[i++ % kRows.size()]});
  shapes.push_back({1, 4200, 20});  // several stages, a part of a panel at the end
  shapes.push_back({3, 2304, 40});
  shapes.push_back({20, 1100, 70});
  shapes.push_back({50, 600, 130});
  shapes.push_back({130, 300, 260});
  return shapes;
}

// bf16 and f16 take turns.
DType turn(size_t i) { return i % 2 == 0 ? DType::bf16 : DType::f16; }

TEST_F(DeviceLinear, Dense) {
  size_t i = 0;
  for (const Shape shape : shapes()) {
    const DType dtype = turn(i++);
    const auto bytes = as_bytes_of(dtype, random_values(shape.in * shape.out, 1));
    check(DenseView{dtype, shape.out, shape.in, bytes.data()}, as_floats(dtype, bytes), device_element(dtype), shape);
  }
}

TEST_F(DeviceLinear, F32IsRoundedToBf16) {
  const Shape shape{3, 100, 17};
  const auto values = random_values(shape.in * shape.out, 1);
  const auto bytes = as_bytes_of(DType::f32, values);
  const auto rounded = as_floats(DType::bf16, as_bytes_of(DType::bf16, values));
  EXPECT_EQ(device_element(DType::f32), Element::bf16);
  check(DenseView{DType::f32, shape.out, shape.in, bytes.data()}, rounded, Element::bf16, shape);
}

TEST_F(DeviceLinear, TwoOfFourInTiles) {
  size_t i = 0;
  for (const Shape shape : shapes()) {
    const DType dtype = turn(i++);
    const Pruned pruned({2, 4}, dtype, shape.out, shape.in, 11);
    const auto packed = pack_nm({2, 4}, dtype, pruned.bytes, shape.out, shape.in);
    check(packed->view(), pruned.dense, device_element(dtype), shape);
  }
}

TEST_F(DeviceLinear, OneOfTwoIsInTilesToo) {
  for (const Shape shape : {Shape{1, 31, 17}, {9, 100, 33}, {65, 64, 16}}) {
    const Pruned pruned({1, 2}, DType::bf16, shape.out, shape.in, 12);
    const auto packed = pack_nm({1, 2}, DType::bf16, pruned.bytes, shape.out, shape.in);
    auto weight = upload_weight(*device_, packed->view(), Element::bf16);
    EXPECT_EQ(weight->form(), DeviceForm::tiles);
    check(packed->view(), pruned.dense, Element::bf16, shape);
  }
}

TEST_F(DeviceLinear, TilesOfTheProcessorAreTakenAsWell) {
  const Shape shape{2, 96, 32};
  const Pruned pruned({2, 4}, DType::bf16, shape.out, shape.in, 13);
  const auto packed = pack_nm({2, 4}, DType::bf16, pruned.bytes, shape.out, shape.in);
  const NmTiles tiles = make_nm_tiles(packed->view());
  check(tiles.view(), pruned.dense, Element::bf16, shape);
}

TEST_F(DeviceLinear, RowsOfBits) {
  const NmPattern patterns[] = {{4, 8}, {6, 8}, {1, 4}, {3, 7}, {2, 3}};
  size_t i = 0;
  for (const Shape shape : shapes()) {
    const DType dtype = turn(i);
    const NmPattern pattern = patterns[i++ % std::size(patterns)];
    const Pruned pruned(pattern, dtype, shape.out, shape.in, 14);
    const auto packed = pack_nm(pattern, dtype, pruned.bytes, shape.out, shape.in);
    check(packed->view(), pruned.dense, device_element(dtype), shape);
  }
}

TEST_F(DeviceLinear, Bitmaps) {
  for (const double kept : {0.0, 0.1, 0.5, 1.0})
    for (const Shape shape : {Shape{1, 100, 17}, {4, 1100, 33}, {16, 513, 16}, {65, 64, 5}}) {
      auto values = random_values(shape.in * shape.out, 15);
      std::mt19937 random(16);
      for (float& value : values)
        if (std::generate_canonical<double, 53>(random) >= kept) value = 0;
      const auto bytes = as_bytes_of(DType::bf16, values);
      const auto packed = pack_bitmap(DType::bf16, bytes, shape.out, shape.in);
      ASSERT_TRUE(packed.ok());
      check(packed->view(), as_floats(DType::bf16, bytes), Element::bf16, shape);
    }
}

TEST_F(DeviceLinear, SpenseOfRowsAndColumns) {
  for (const SpenseSplit split : {SpenseSplit::out, SpenseSplit::in})
    for (const NmPattern pattern : {NmPattern{2, 4}, NmPattern{4, 8}})
      for (const Shape shape :
           {Shape{1, 200, 100}, {7, 96, 40}, {16, 1500, 50}, {33, 100, 100}, {64, 300, 150}, {65, 64, 33}}) {
        for (const int64_t dense : {shape.tokens % 2 == 0 ? int64_t{1} : int64_t{24}}) {
          auto values = random_values(shape.in * shape.out, 17);
          const bool of_rows = split == SpenseSplit::out;
          const int64_t rows = shape.out - (of_rows ? dense : 0), columns = shape.in - (of_rows ? 0 : dense);
          const Pruned pruned(pattern, DType::f16, rows, columns, 18);
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t k = 0; k < columns; ++k)
              values[static_cast<size_t>(row * shape.in + k)] = pruned.dense[static_cast<size_t>(row * columns + k)];
          const auto bytes = as_bytes_of(DType::f16, values);
          const auto packed = pack_spense({split, pattern, dense}, DType::f16, bytes, shape.out, shape.in);
          ASSERT_TRUE(packed.ok()) << packed.status().message();
          check(packed->view(), as_floats(DType::f16, bytes), Element::f16, shape);
        }
      }
}

TEST_F(DeviceLinear, SplitColumnsGiveTheSameBitsTwice) {
  const Shape shape{2, 8192, 16};
  const Pruned pruned({2, 4}, DType::bf16, shape.out, shape.in, 19);
  const auto packed = pack_nm({2, 4}, DType::bf16, pruned.bytes, shape.out, shape.in);
  auto weight = upload_weight(*device_, packed->view(), Element::bf16);
  cuda::FewArgs args{};
  args.sparse_rows = 16, args.sparse_columns = 8192, args.tokens = 2;
  ASSERT_GT(few_shape(args, device_->info().multiprocessors).splits, 1);
  check(packed->view(), pruned.dense, Element::bf16, shape);
  const auto scratch = make_linear_scratch(*device_, linear_scratch_bytes(*weight, shape.tokens));
  const auto x = device_->upload(as_bytes_of(DType::bf16, random_values(shape.tokens * shape.in, 20)), "x");
  std::vector<std::byte> results[2];
  for (auto& result : results) {
    const auto y = device_->allocate(shape.tokens * shape.out * 4, "y");
    ASSERT_TRUE(device_linear(*device_, *weight, x->data(), shape.tokens, nullptr,
                              {y->data(), Element::f32, false, shape.out}, *scratch)
                    .ok());
    result.resize(static_cast<size_t>(y->bytes()));
    ASSERT_TRUE(device_->download(result, y->data()).ok());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(DeviceLinear, TheLibrarysCopyServesAllTokens) {
  const cuda::SparseLibrary* library = cuda::test_backend().sparse_library;
  if (library == nullptr || !library->version().ok()) GTEST_SKIP() << "no library for sparse products";
  for (const Shape shape : {Shape{5, 64, 32}, {8, 96, 48}, {77, 128, 64}}) {
    const Pruned pruned({2, 4}, DType::bf16, shape.out, shape.in, 21);
    const auto packed = pack_nm({2, 4}, DType::bf16, pruned.bytes, shape.out, shape.in);
    auto weight = upload_weight(*device_, packed->view(), Element::bf16);
    ASSERT_TRUE(weight.ok());
    const int64_t before = weight->bytes();
    const Status added = add_library_copy(*device_, *weight);
    ASSERT_TRUE(added.ok()) << added.message();
    EXPECT_GT(weight->bytes(), before);
    EXPECT_EQ(weight->plan.path(4096), DevicePath::sparse_library);
    check_paths(*weight, pruned.dense, Element::bf16, shape);
  }
  const auto bytes = as_bytes_of(DType::bf16, random_values(64, 1));
  auto dense = upload_weight(*device_, DenseView{DType::bf16, 8, 8, bytes.data()}, Element::bf16);
  EXPECT_EQ(add_library_copy(*device_, *dense).message(), "sparse library: expected 2:4, got dense");
}

TEST_F(DeviceLinear, WhatCannotBeIsRefused) {
  const auto bytes = as_bytes_of(DType::bf16, random_values(64, 1));
  auto weight = upload_weight(*device_, DenseView{DType::bf16, 8, 8, bytes.data()}, Element::bf16);
  auto y = device_->allocate(1024, "y");
  LinearScratch scratch;
  auto message = [&](LinearOutput output, int64_t tokens = 1) {
    return device_linear(*device_, *weight, y->data(), tokens, nullptr, output, scratch).message();
  };
  EXPECT_NE(message({y->data(), Element::f16, false, 8}).find("neither f32 nor"), std::string::npos);
  EXPECT_NE(message({y->data(), Element::bf16, true, 8}).find("only f32 can be added to"), std::string::npos);
  EXPECT_NE(message({y->data(), Element::f32, false, 7}).find("stride of 7"), std::string::npos);
  weight->plan.paths.fill(DevicePath::bits);
  EXPECT_NE(message({y->data(), Element::f32, false, 8}).find("path bits: not for dense and 1 tokens"),
            std::string::npos);
  weight->plan.paths.fill(DevicePath::few);
  EXPECT_NE(message({y->data(), Element::f32, false, 8}).find("scratch memory needed"), std::string::npos);
  EXPECT_NE(message({y->data(), Element::f32, false, 8}, 65).find("65 tokens"), std::string::npos);
}

}  // namespace
}  // namespace esparse
