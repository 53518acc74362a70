// The layers of tests/golden/prune, worked in float64 by tools/golden/make_prune_fixtures.py.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/matrix.h"
#include "calibrate/entropy.h"
#include "calibrate/statistics.h"
#include "io/tensor_store.h"

namespace esparse {

struct GoldenCase {
  std::string name;
  TensorStore store;
  Matrix<float> weight;  // [out, in]
  Matrix<float> inputs;  // [tokens, in]
  int64_t sequences = 0;

  bool has(const std::string& tensor) const { return store.find(tensor) != nullptr; }
  template <typename T>
  std::vector<T> values(const std::string& tensor) const {
    const TensorInfo* info = store.find(tensor);
    EXPECT_NE(info, nullptr) << name << ": " << tensor;
    if (info == nullptr || static_cast<int64_t>(sizeof(T)) != dtype_bytes(info->dtype)) std::abort();
    std::vector<T> result(info->element_count());
    std::memcpy(result.data(), info->data.data(), info->data.size());
    return result;
  }
  Matrix<float> matrix(const std::string& tensor) const {
    const auto source = values<float>(tensor);
    const auto& shape = store.find(tensor)->shape;
    Matrix<float> result(shape[0], shape[1]);
    std::ranges::copy(source, result.values().begin());
    return result;
  }
};

// At least one case, or the test that asked has failed.
inline std::vector<GoldenCase> golden_cases() {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(ESPARSE_SOURCE_DIR "/tests/golden/prune", error))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::ranges::sort(files);
  EXPECT_FALSE(files.empty()) << "no fixtures in tests/golden/prune";
  std::vector<GoldenCase> cases;
  for (const auto& file : files) {
    auto store = TensorStore::open_file(file);
    EXPECT_TRUE(store.ok()) << store.status().message();
    if (!store.ok()) continue;
    GoldenCase& golden = cases.emplace_back();
    golden.name = file.stem().string();
    golden.store = std::move(store).value();
    golden.weight = golden.matrix("weight");
    golden.inputs = golden.matrix("inputs");
    golden.sequences = golden.values<int32_t>("num_sequences").at(0);
  }
  return cases;
}

// What calibration gathers from inputs [tokens, channels].
inline InputStatistics gather_statistics(const Matrix<float>& inputs, int64_t sequences, const EntropyRange& range) {
  InputStatistics statistics;
  statistics.sequences = sequences;
  statistics.tokens = inputs.rows();
  statistics.sum_squares.resize(inputs.cols());
  statistics.sum.resize(inputs.cols());
  for (int64_t token = 0; token < inputs.rows(); ++token)
    for (int64_t j = 0; j < inputs.cols(); ++j) {
      statistics.sum_squares[j] += static_cast<double>(inputs(token, j)) * inputs(token, j);
      statistics.sum[j] += inputs(token, j);
    }
  ChannelRanges ranges(inputs.cols());
  ranges.add(inputs.view());
  auto histograms = ranges.histograms(range);
  EXPECT_TRUE(histograms.ok()) << histograms.status().message();
  histograms->add(inputs.view());
  statistics.entropy = histograms->entropy();
  return statistics;
}

// |got - expected| <= share * |expected| + tiny, element by element; the worst one is named.
template <typename Got>
void expect_close(std::span<const Got> got, const std::vector<double>& expected, double share,
                  const std::string& label) {
  ASSERT_EQ(got.size(), expected.size()) << label;
  for (size_t k = 0; k < got.size(); ++k)
    ASSERT_LE(std::fabs(got[k] - expected[k]), share * std::fabs(expected[k]) + 1e-300) << label << " at " << k;
}

}  // namespace esparse
