// The layers of tests/golden/prune_methods: real inputs and weights, worked by tools/golden/make_pruning_references.py.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "base/matrix.h"
#include "io/tensor_store.h"
#include "prune/golden_cases.h"

namespace esparse {

inline std::filesystem::path method_fixture(const std::string& name) {
  return std::filesystem::path(ESPARSE_SOURCE_DIR "/tests/golden/prune_methods") / (name + ".safetensors");
}

struct MethodCase {
  std::string name;
  TensorStore store;
  Matrix<float> weight;  // [out, in]
  Matrix<float> inputs;  // [tokens, in]
  int64_t sequences = 0;

  // "wanda.2of4", "sparsegpt.50block", ...; 1 = kept.
  Matrix<uint8_t> mask(const std::string& result) const {
    const TensorInfo& packed = tensor("mask." + result);
    Matrix<uint8_t> mask(weight.rows(), weight.cols());
    const int64_t row_bytes = packed.shape.at(1);
    for (int64_t i = 0; i < mask.rows(); ++i)
      for (int64_t j = 0; j < mask.cols(); ++j)
        mask(i, j) = std::to_integer<int>(packed.data[i * row_bytes + j / 8]) >> (j % 8) & 1;
    return mask;
  }
  // The weights after SparseGPT, zeros where pruned.
  Matrix<float> updated_weight(const std::string& result) const { return matrix("weight." + result); }
  // Of the pruned layer, for the tokens of sampled_outputs().
  Matrix<float> outputs(const std::string& result) const { return matrix("outputs." + result); }

  // What calibration gathers, with the exact sums of this case's own inputs.
  InputStatistics statistics() const { return gather_statistics(inputs, sequences, {}); }

  const TensorInfo& tensor(const std::string& tensor_name) const {
    const TensorInfo* info = store.find(tensor_name);
    EXPECT_NE(info, nullptr) << name << ": " << tensor_name;
    if (info == nullptr) std::abort();
    return *info;
  }
  Matrix<float> matrix(const std::string& tensor_name) const {
    const TensorInfo& info = tensor(tensor_name);
    Matrix<float> result(info.shape.at(0), info.shape.at(1));
    convert_to_f32(info.dtype, info.data.data(), result.values());
    return result;
  }
};

// k, o, gate, down.
inline std::vector<MethodCase> method_cases() {
  std::vector<MethodCase> cases;
  for (const char* name : {"k", "o", "gate", "down"}) {
    auto store = TensorStore::open_file(method_fixture(name));
    EXPECT_TRUE(store.ok()) << store.status().message();
    if (!store.ok()) continue;
    MethodCase& method = cases.emplace_back();
    method.name = name;
    method.store = std::move(store).value();
    method.weight = method.matrix("weight");
    method.inputs = method.matrix("inputs");
    int32_t sequences = 0;
    std::memcpy(&sequences, method.tensor("num_sequences").data.data(), sizeof(sequences));
    method.sequences = sequences;
  }
  return cases;
}

// inputs * weight^T in double for every 64th token, the tokens whose outputs the fixtures hold.
inline Matrix<float> sampled_outputs(const Matrix<float>& inputs, const Matrix<float>& weight) {
  constexpr int64_t kStep = 64;
  Matrix<float> outputs(inputs.rows() / kStep, weight.rows());
  for (int64_t token = 0; token < outputs.rows(); ++token)
    for (int64_t i = 0; i < weight.rows(); ++i) {
      double sum = 0.0;
      for (int64_t j = 0; j < weight.cols(); ++j) sum += static_cast<double>(inputs(token * kStep, j)) * weight(i, j);
      outputs(token, i) = static_cast<float>(sum);
    }
  return outputs;
}

inline Matrix<float> masked(const Matrix<float>& weight, const Matrix<uint8_t>& mask) {
  Matrix<float> result = weight;
  for (size_t k = 0; k < result.values().size(); ++k)
    if (mask.values()[k] == 0) result.values()[k] = 0.0f;
  return result;
}

// Share of the entries in which the masks differ.
inline double mask_difference(const Matrix<uint8_t>& got, const Matrix<uint8_t>& expected) {
  EXPECT_EQ(got.rows(), expected.rows());
  EXPECT_EQ(got.cols(), expected.cols());
  int64_t different = 0;
  for (size_t k = 0; k < expected.values().size(); ++k) different += got.values()[k] != expected.values()[k];
  return static_cast<double>(different) / static_cast<double>(expected.values().size());
}

// Norm of the difference over the norm of what is expected.
inline double relative_difference(const Matrix<float>& got, const Matrix<float>& expected) {
  EXPECT_EQ(got.values().size(), expected.values().size());
  double difference = 0.0, size = 0.0;
  for (size_t k = 0; k < expected.values().size(); ++k) {
    difference += std::pow(static_cast<double>(got.values()[k]) - expected.values()[k], 2);
    size += std::pow(static_cast<double>(expected.values()[k]), 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace esparse
