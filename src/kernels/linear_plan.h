// Which way a linear goes for which number of tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/weight.h"

namespace esparse {

// The ways to compute y = x W^T.
enum class LinearPath : uint8_t {
  few,          // the weight is read once for all tokens: bound by reading it
  sparse_gemm,  // tokens are the lanes; only kept weights are multiplied (kernels/sparse_gemm.h)
  dense_gemm,   // tiles of rows are widened or expanded and multiplied by oneDNN
};
std::string_view path_name(LinearPath path);

// Token counts that share a choice: 1, 2-4, 5-8, 9-16, 17-64, more.
inline constexpr std::array<int64_t, 6> kTokenBuckets = {1, 4, 8, 16, 64, INT64_MAX};  // the largest count of each
int token_bucket(int64_t tokens);

struct LinearPlan {
  std::array<LinearPath, kTokenBuckets.size()> paths{};
  LinearPath path(int64_t tokens) const { return paths[static_cast<size_t>(token_bucket(tokens))]; }
  bool operator==(const LinearPlan&) const = default;
};

// The paths that can serve this weight at this number of tokens, never empty.
std::vector<LinearPath> possible_paths(const WeightView& weight, int64_t tokens);

// What to do without having measured: depends on the weight's form and the instruction set alone, so that results are
// the same bits in every run. Used for pruning and evaluation; runtime/ replaces it by what is fastest on the machine.
LinearPlan default_plan(const WeightView& weight);

}  // namespace esparse
