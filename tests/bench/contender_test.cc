// What a benchmark refuses to time, and what it says of what it timed. No times: a busy machine has any.
#include "bench/contender.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bench/bench_report.h"
#include "bench/linear_rows.h"
#include "bench/machine_kernels.h"
#include "kernels/isa.h"
#include "kernels/linear_plan.h"
#include "support/status_testing.h"

namespace esparse {
namespace {

const LinearShape kShape{"48x96", 48, 96, 1};
const BenchPattern kDense{"dense", {}, {}};
const BenchPattern kTwoOfFour{"2:4", NmPattern{2, 4}, {}};

// y = values x, by plain loops.
void multiply(Product& product, const Matrix<float>& values) {
  for (int64_t token = 0; token < product.x.rows(); ++token)
    for (int64_t row = 0; row < values.rows(); ++row) {
      double sum = 0;
      for (int64_t i = 0; i < values.cols(); ++i) sum += static_cast<double>(values(row, i)) * product.x(token, i);
      product.y(token, row) = static_cast<float>(sum);
    }
}

TEST(RandomWeight, IsExactInItsTypeAndNotZero) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Matrix<float> values = random_weight(kShape, dtype);
    std::vector<float> back(values.values().size());
    std::vector<std::byte> stored(back.size() * dtype_bytes(dtype));
    convert_from_f32(dtype, values.values(), stored.data());
    convert_to_f32(dtype, stored.data(), back);
    EXPECT_TRUE(std::equal(back.begin(), back.end(), values.values().begin()));
    EXPECT_GT(std::set<float>(back.begin(), back.end()).size(), 100u);
  }
}

TEST(Contender, OfEveryKindComputesTheProduct) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const char* name : {"dense", "2:4", "6:8", "1:2", "unstructured:0.5"})
      for (const int64_t tokens : {1, 5, 40}) {
        const auto pattern = BenchPattern::parse_list(name);
        const Matrix<float> values = random_weight(kShape, dtype);
        auto weights = ColdWeights::create(values, dtype, pattern->front());
        ASSERT_OK(weights);
        Product product(values, tokens);
        const auto contenders = linear_contenders(*weights, product);
        ASSERT_EQ(contenders.size(), possible_paths(weights->any(), tokens).size());
        for (const Contender& contender : contenders) {
          SCOPED_TRACE(contender.kernel + " " + name);
          EXPECT_OK(check_contender(contender, dtype, pattern->front(), product));
          EXPECT_NE(contender.kernel.find(isa_name(current_isa())), std::string::npos) << contender.kernel;
        }
      }
}

TEST(Contender, OfOneDnnComputesTheProduct) {
  const Matrix<float> values = random_weight(kShape, DType::bf16);
  Product product(values, 5);
  const auto contenders = onednn_contenders(DType::bf16, product);
  for (const Contender& contender : contenders) {
    EXPECT_OK(check_contender(contender, DType::bf16, kDense, product));
    EXPECT_EQ(contender.kernel.rfind("onednn ", 0), 0u);
    EXPECT_GE(contender.weight_bytes, kShape.out_features * kShape.in_features * 2);
  }
}

TEST(Contender, ReadsTheBytesOfItsForm) {
  const Matrix<float> values = random_weight(kShape, DType::bf16);
  EXPECT_EQ(ColdWeights::create(values, DType::bf16, kDense)->weight_bytes(), 48 * 96 * 2);
  EXPECT_EQ(ColdWeights::create(values, DType::bf16, kTwoOfFour)->weight_bytes(), 48 * 96 * 9 / 8);
  const auto three_of_four = BenchPattern::parse_list("6:8");
  EXPECT_EQ(ColdWeights::create(values, DType::bf16, three_of_four->front())->weight_bytes(), 48 * 96 * 13 / 8);
}

TEST(CheckContender, RefusesWrongUnwrittenAndZeroResults) {
  const Matrix<float> values = random_weight(kShape, DType::f32);
  Product product(values, 3);
  const auto check = [&](const std::function<void()>& run) {
    return check_contender({"fake kernel", run, 1}, DType::f32, kDense, product);
  };
  EXPECT_OK(check([&] { multiply(product, values); }));
  EXPECT_FAILURE(check([] {}), StatusKind::internal, "fake kernel: wrong result at token 0, row 0");
  EXPECT_FAILURE(check([&] {
                   multiply(product, values);
                   product.y(2, 47) += 0.01f;
                 }),
                 StatusKind::internal, "token 2, row 47");
  EXPECT_FAILURE(check([&] { std::fill(product.y.values().begin(), product.y.values().end(), 0.0f); }),
                 StatusKind::internal, "wrong result");
  const Matrix<float> zeros(48, 96);
  Product nothing(zeros, 3);
  EXPECT_FAILURE(check_contender({"fake kernel", [&] { multiply(nothing, zeros); }, 1}, DType::f32, kDense, nothing),
                 StatusKind::internal, "outputs are zero");
}

// The dense product is not that of the pruned weight.
TEST(CheckContender, RefusesTheProductOfAnotherPattern) {
  const Matrix<float> values = random_weight(kShape, DType::bf16);
  auto weights = ColdWeights::create(values, DType::bf16, kDense);
  Product product(values, 1);
  const auto contenders = linear_contenders(*weights, product);
  EXPECT_FAILURE(check_contender(contenders[0], DType::bf16, kTwoOfFour, product), StatusKind::internal,
                 "wrong result");
}

LinearBenchOptions tiny_options() {
  LinearBenchOptions options;
  options.shapes = {kShape, {"33x70", 33, 70, 2}};
  options.patterns = {kTwoOfFour, kDense};
  options.tokens = {1, 20};
  options.repetitions = 2;
  options.budget_seconds = 0;  // the fewest turns
  return options;
}

TEST(LinearRows, HaveOneForEachShapePatternAndTokenCount) {
  const LinearBenchOptions options = tiny_options();
  size_t seen = 0;
  const auto rows = bench_linears(options, [&](const LinearRow&) { ++seen; });
  ASSERT_OK(rows);
  ASSERT_EQ(rows->size(), 8u);
  EXPECT_EQ(seen, 8u);
  for (size_t i = 0; i < rows->size(); ++i) {
    const LinearRow& row = (*rows)[i];
    EXPECT_EQ(row.shape.name, options.shapes[i / 4].name);
    EXPECT_EQ(row.pattern, options.patterns[i / 2 % 2].text);
    EXPECT_EQ(row.tokens, options.tokens[i % 2]);
    EXPECT_EQ(row.repetitions, 2);
    EXPECT_GT(row.dense_seconds, 0);
    EXPECT_GT(row.sparse_seconds, 0);
    EXPECT_GT(row.speedup, 0);
    EXPECT_GT(row.bandwidth_share, 0);
    EXPECT_FALSE(row.kernel.empty());
    if (row.pattern == "2:4") {
      EXPECT_NE(row.kernel, row.dense_kernel);
    }
  }
}

TEST(LinearRows, RefuseWhatTheMachineCannotHold) {
  LinearBenchOptions options = tiny_options();
  options.shapes = {{"1048576x1048576", 1 << 20, 1 << 20, 1}};
  EXPECT_FAILURE(bench_linears(options, [](const LinearRow&) {}), StatusKind::invalid_argument,
                 "--shapes: 1048576x1048576: ");
}

// Worked by hand: 2 * 4 * 10^6 operations in 2 ms are 4 GFLOP/s, a fifth of the machine's 20.
TEST(Report, SharesAreOfTheMachine) {
  Machine machine;
  machine.cpu = "Some CPU";
  machine.isa = "avx9";
  machine.threads = 3;
  machine.read_bytes_per_second = 1.125e9;
  machine.flops_per_second = 20e9;
  LinearRow row;
  row.shape = {"1000x1000", 1000, 1000, 1};
  row.pattern = "2:4";
  row.tokens = 4;
  row.dense_seconds = 6e-3;
  row.sparse_seconds = 2e-3;
  row.speedup = 3;
  row.weight_bytes = 1125000;
  row.bandwidth_share = 0.5;
  row.kernel = "few";
  row.dense_kernel = "slow";
  const Json json = linear_rows_json(machine, {{row}});
  EXPECT_EQ(json.at("machine").at("cpu"), "Some CPU");
  const Json& only = json.at("rows").at(0);
  EXPECT_EQ(only.at("shape"), "1000x1000");
  EXPECT_EQ(only.at("pattern"), "2:4");
  EXPECT_EQ(only.at("tokens"), 4);
  EXPECT_EQ(only.at("dtype"), "BF16");
  EXPECT_NEAR(only.at("dense_ns").get<double>(), 6e6, 1e-3);
  EXPECT_NEAR(only.at("sparse_ns").get<double>(), 2e6, 1e-3);
  EXPECT_EQ(only.at("speedup"), 3.0);
  EXPECT_NEAR(only.at("bandwidth_share").get<double>(), 0.5, 1e-9);
  EXPECT_NEAR(only.at("peak_share").get<double>(), 0.2, 1e-9);
  EXPECT_EQ(only.at("kernel"), "few");
  EXPECT_EQ(only.at("dense_kernel"), "slow");

  const std::string text = linear_rows_text(machine, {{row}});
  EXPECT_EQ(text.rfind("Some CPU, avx9, 3 threads, ", 0), 0u) << text;
  for (const char* part : {"3.00x", "50 %", "20 %", "6.000", "2.000"}) EXPECT_NE(text.find(part), text.npos) << part;
  EXPECT_EQ(text.find("Slower than dense"), text.npos);
  row.speedup = 0.9;
  EXPECT_NE(linear_rows_text(machine, {{row}}).find("Slower than dense:\n1000x1000, 2:4, 4 tokens: 0.90x"), text.npos);
}

TEST(MachineKernels, SumAndMultiplyAddOnEveryInstructionSet) {
  std::vector<float> data(MachineKernels::kStreamStep * 3);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i % 7);  // small whole numbers: exact sums
  double expected = 0;
  for (const float value : data) expected += value;
  for (const MachineKernels* table : usable_tables<MachineKernels>()) {
    EXPECT_EQ(table->sum(data.data(), static_cast<int64_t>(data.size())), expected);
    // Every lane of every chain is x -> x / 2 + 1, which ends at 2 exactly; two operations for each.
    EXPECT_EQ(table->multiply_add(100), static_cast<float>(table->flops_per_round));
  }
}

}  // namespace
}  // namespace esparse
