// Differential: y = x W^T + b by every path of a weight and by every table of kernels, against plain loops in double.
// Bytes: shape, form and type of the weight, then values.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/dtype.h"
#include "base/parallel.h"
#include "fuzz/byte_source.h"
#include "fuzz/exact_bytes.h"
#include "fuzz/fail.h"
#include "fuzz/reference.h"
#include "kernels/bit_kernels.h"
#include "kernels/few.h"
#include "kernels/linear.h"
#include "kernels/row_kernels.h"
#include "kernels/sparse_gemm.h"
#include "kernels/tile_kernels.h"
#include "sparse/nm_matrix.h"

namespace esparse::fuzz {
namespace {

constexpr int64_t kPadding = 3;  // floats between two rows of x and of y

enum class Form { dense, packed, tiles };

struct Shape {
  Form form;
  DType dtype;
  NmPattern pattern;
  int64_t out, in, tokens;
  bool has_bias;
};

Shape take_shape(ByteSource& source) {
  Shape shape;
  shape.form = source.one_of({Form::dense, Form::packed, Form::tiles});
  shape.dtype = source.one_of({DType::f32, DType::f16, DType::bf16});
  const auto group = static_cast<int>(source.in_range(2, NmPattern::kMaxGroup));
  shape.pattern = {static_cast<int>(source.in_range(1, group - 1)), group};
  if (shape.form == Form::tiles || source.flag()) shape.pattern = source.flag() ? NmPattern{2, 4} : NmPattern{4, 8};
  const bool eights = shape.dtype == DType::bf16 && current_isa() == Isa::avx512_bf16;  // else no kernel takes them
  if (shape.form == Form::tiles && !eights) shape.pattern = {2, 4};
  shape.out = source.in_range(1, 150);
  shape.in = source.in_range(1, 300);
  // The reference takes most of the time; this is enough for 80 tokens of a small weight, and for parallel work.
  constexpr int64_t kMaxProducts = 200'000;
  shape.tokens = std::min(source.in_range(1, 80), std::max<int64_t>(1, kMaxProducts / (shape.out * shape.in)));
  shape.has_bias = source.flag();
  return shape;
}

// What values look like: around one; any finite bits; the ends of the range; many exact zeros.
enum class Kind { ordinary, bits, ends, sparse };

float finite(float value, float limit) { return std::isnan(value) ? 1.0f : std::clamp(value, -limit, limit); }

float value_of(Kind kind, uint64_t draw) {
  constexpr float kEnds[] = {0.0f, 0x1p-149f, 0x1p-133f, 0x1p-126f, 0x1p-24f, 1.0f, 65504.0f, 0x1p60f, 0x1.fep127f};
  const auto uniform = static_cast<float>(static_cast<double>(draw >> 11) * 0x1p-52 - 1.0);
  switch (kind) {
    case Kind::ordinary:
      return uniform;
    case Kind::bits:
      return std::bit_cast<float>(static_cast<uint32_t>(draw >> 32));
    case Kind::ends:
      return std::copysign(kEnds[draw % std::size(kEnds)], uniform);
    case Kind::sparse:
      return draw % 4 != 0 ? std::copysign(0.0f, uniform) : uniform;
  }
  return 0;
}

// Finite values as they are once stored; the first come from the input itself.
std::vector<float> take_values(ByteSource& source, DType dtype, int64_t count) {
  const Kind kind = source.one_of({Kind::ordinary, Kind::bits, Kind::ends, Kind::sparse});
  Sequence sequence(source.take<uint64_t>());
  const int64_t from_input = source.in_range(0, 64);
  const float limit = dtype == DType::f16 ? 65504.0f : 0x1.fep127f;  // the largest of f16, and of bf16
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    values[i] = finite(i < from_input ? source.take<float>() : value_of(kind, sequence.next()), limit);
  std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
  convert_from_f32(dtype, values, bytes.data());
  convert_to_f32(dtype, bytes.data(), values);
  return values;
}

// Zeroes what a group may not keep: which ones, the sequence decides.
void prune(std::vector<float>& weight, const Shape& shape, uint64_t seed) {
  Sequence sequence(seed);
  for (int64_t row = 0; row < shape.out; ++row)
    for (int64_t first = 0; first < shape.in; first += shape.pattern.group) {
      float* group = weight.data() + row * shape.in + first;
      auto left = std::min<int64_t>(shape.pattern.group, shape.in - first);
      auto to_keep = shape.pattern.kept_in(left);
      for (int64_t k = 0; left > 0; ++k, --left) {
        const bool keep = static_cast<int64_t>(sequence.next() % static_cast<uint64_t>(left)) < to_keep;
        if (keep) --to_keep;
        if (!keep) group[k] = 0.0f;
      }
    }
}

struct Problem {
  Shape shape;
  std::vector<float> weight;    // [out, in]
  std::vector<float> bias;      // [out] or empty
  std::vector<float> x_values;  // [tokens, in + kPadding]
  std::vector<Sum> expected;    // [tokens, out]

  MatrixView<const float> x() const { return {x_values.data(), shape.tokens, shape.in, shape.in + kPadding}; }
};

Problem take_problem(ByteSource& source) {
  Problem problem;
  Shape& shape = problem.shape;
  shape = take_shape(source);
  problem.weight = take_values(source, shape.dtype, shape.out * shape.in);
  if (shape.form != Form::dense) prune(problem.weight, shape, source.take<uint64_t>());
  if (shape.has_bias) problem.bias = take_values(source, DType::f32, shape.out);
  problem.x_values = take_values(source, DType::f32, shape.tokens * (shape.in + kPadding) - kPadding);
  for (int64_t t = 0; t < shape.tokens; ++t)
    for (int64_t o = 0; o < shape.out; ++o) {
      Sum& sum = problem.expected.emplace_back(shape.has_bias ? problem.bias[o] : 0.0f);
      for (int64_t i = 0; i < shape.in; ++i) sum.add(problem.weight[o * shape.in + i], problem.x()(t, i));
    }
  return problem;
}

// The output of one way to compute the problem: NaN to begin with, in the gaps between rows too.
class Output {
 public:
  explicit Output(const Shape& shape)
      : shape_(shape),
        values_(static_cast<size_t>(shape.tokens * (shape.out + kPadding)), std::numeric_limits<float>::quiet_NaN()) {}
  MatrixView<float> view() { return {values_.data(), shape_.tokens, shape_.out, shape_.out + kPadding}; }

  void check(const Problem& problem, const char* how, bool rounded_x) {
    for (int64_t t = 0; t < shape_.tokens; ++t) {
      const float* row = view().row(t).data();
      for (int64_t o = 0; o < shape_.out; ++o) {
        const Sum& sum = problem.expected[t * shape_.out + o];
        if (sum.agrees(row[o], rounded_x)) continue;
        fail("{}: token {}, row {} of {} x {}: {}, expected {} +- {}", how, t, o, shape_.out, shape_.in, row[o],
             sum.value(), sum.tolerance(rounded_x));
      }
      for (int64_t o = shape_.out; o < shape_.out + kPadding; ++o)
        if (!std::isnan(row[o])) fail("{}: token {}: wrote {} floats beyond the row", how, t, o - shape_.out + 1);
    }
  }
  bool same_bits(Output& other) {
    for (int64_t t = 0; t < shape_.tokens; ++t)
      if (std::memcmp(view().row(t).data(), other.view().row(t).data(), shape_.out * sizeof(float)) != 0) return false;
    return true;
  }

 private:
  Shape shape_;
  std::vector<float> values_;
};

// Where kernels round x to bf16 (kernels/tile_kernels.h, kernels/sparse_gemm.h, kernels/bf16_gemm.h).
bool rounds_x(const Shape& shape, LinearPath path) {
  const bool exact = shape.form == Form::dense && path == LinearPath::few;
  return current_isa() == Isa::avx512_bf16 && shape.dtype == DType::bf16 && !exact;
}

void check_path(const Problem& problem, const WeightView& weight, LinearPath path) {
  LinearPlan plan;
  plan.paths.fill(path);
  const std::string how(path_name(path));
  std::optional<Output> first;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    Output output(problem.shape);
    linear(weight, problem.x(), problem.bias, output.view(), plan);
    output.check(problem, how.c_str(), rounds_x(problem.shape, path));
    if (first && !first->same_bits(output)) fail("{}: other bits with {} threads", how, threads);
    if (!first) first = std::move(output);
  }
}

// A token's bits do not depend on its neighbours (kernels/few.h).
void check_single_tokens(const Problem& problem, const WeightView& weight) {
  LinearPlan plan;
  plan.paths.fill(LinearPath::few);
  Output together(problem.shape), single(problem.shape);
  linear(weight, problem.x(), problem.bias, together.view(), plan);
  for (int64_t t = 0; t < problem.shape.tokens; ++t)
    linear(weight, problem.x().rows_from(t, 1), problem.bias, single.view().rows_from(t, 1), plan);
  if (!single.same_bits(together)) fail("few: other bits for one token than for {}", problem.shape.tokens);
}

// Every table of row kernels, on the stored rows.
void check_row_kernels(const Problem& problem, const std::byte* dense, const NmMatrix* packed) {
  const Shape& shape = problem.shape;
  for (const RowKernels* kernels : usable_tables<RowKernels>()) {
    Output output(shape);
    std::vector<float> expanded(static_cast<size_t>(shape.in));
    for (int64_t o = 0; o < shape.out; ++o) {
      if (packed == nullptr) {
        kernels->widen(shape.dtype, dense + o * shape.in * dtype_bytes(shape.dtype), expanded.data(), shape.in);
      } else {
        kernels->expand_bits(bit_rows(packed->view()), o, expanded.data());
        if (!std::equal(expanded.begin(), expanded.end(), problem.weight.begin() + o * shape.in))
          fail("{}: expand_bits: row {} is not what was packed", kernels->isa, o);
      }
      for (int64_t t = 0; t < shape.tokens; ++t) {
        const float dot = kernels->dot(expanded.data(), problem.x().row(t).data(), shape.in);
        output.view()(t, o) = dot + (shape.has_bias ? problem.bias[o] : 0.0f);
      }
    }
    output.check(problem, kernels->isa, false);
  }
}

// Every table of the sparse kernels that this machine can run, not only the one in use.
template <typename Table, typename View, typename Product>
void check_tables(const Problem& problem, const View& weight, Product product) {
  for (const Table* table : usable_tables<Table>()) {
    Output output(problem.shape);
    product(*table, weight, problem.x(), problem.bias, output.view());
    output.check(problem, table->isa, std::string_view(table->isa) == isa_name(Isa::avx512_bf16));
  }
}

template <typename View>
void check_sparse_gemm(const Problem& problem, const View& weight) {
  check_tables<GatherKernels>(problem, weight, [](const auto&... arguments) { sparse_gemm_with(arguments...); });
}

void run(ByteSource source) {
  const Problem problem = take_problem(source);
  const Shape& shape = problem.shape;
  ExactBytes dense(problem.weight.size() * dtype_bytes(shape.dtype));
  convert_from_f32(shape.dtype, problem.weight, dense.data());

  std::optional<NmMatrix> packed;
  std::optional<NmTiles> tiles;
  WeightView weight = DenseView{shape.dtype, shape.out, shape.in, dense.data()};
  if (shape.form != Form::dense) {
    auto result = pack_nm(shape.pattern, shape.dtype, dense.bytes(), shape.out, shape.in);
    if (!result.ok()) fail("pack_nm: {}", result.status().message());
    packed = std::move(result).value();
    weight = packed->view();
  }
  if (packed) {
    const BitRowsView rows = bit_rows(packed->view());
    check_tables<BitKernels>(problem, rows, [](const auto&... arguments) { few_bits(arguments...); });
    check_sparse_gemm(problem, rows);
  }
  if (shape.form == Form::tiles) {
    tiles = make_nm_tiles(packed->view());
    weight = tiles->view();
    if (!tiles->view().of_eights()) {
      check_tables<TileKernels>(problem, tiles->view(), [](const auto&... arguments) { few_tiles(arguments...); });
      check_sparse_gemm(problem, tiles->view());
    }
  }
  for (const LinearPath path : possible_paths(weight, shape.tokens)) check_path(problem, weight, path);
  check_single_tokens(problem, weight);
  check_row_kernels(problem, dense.data(), packed ? &*packed : nullptr);
}

}  // namespace
}  // namespace esparse::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  esparse::fuzz::run(esparse::fuzz::ByteSource({data, size}));
  return 0;
}
