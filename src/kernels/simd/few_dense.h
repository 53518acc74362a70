// Dense rows times a few tokens, over any vector type V of this folder.
//
// Layout: rows of f32, f16 or bf16, unaligned; the lanes run along a row. Four rows are read at a time: on two cores
// of a Zen 3 that alone lifts the reading from 26 to 35 GB/s, what the memory gives, without any prefetch.
// Order of accumulation: one vector sum per row and token, column by column of kLanes, then its lanes in halves. It is
// the same whatever the number of rows and tokens, so a token has the same bits alone and among others.
// Cost: up to three tokens (six, with thirty-two registers) take the rows in one pass, bound by reading them. More are
// cut into such groups, and the columns into chunks: in the first-level cache lie the inputs of one group, in the
// second the chunk of 64 rows, which the first group brings there, and the sums that wait. So a weight comes from
// memory once and is widened once for a group. Tails: the last, incomplete vector is copied and padded with zeros;
// nothing outside the rows is read.
#pragma once

#include <cstring>

#include "kernels/dense_kernels.h"
#include "kernels/simd/elements.h"

namespace esparse::simd {

template <typename V>
class FewDense {
 public:
  static void multiply(const FewDenseJob& job) {
    if (job.dtype == DType::bf16) return multiply_typed<ElementsBf16<V>>(job);
    if (job.dtype == DType::f16) return multiply_typed<ElementsF16<V>>(job);
    multiply_typed<ElementsF32<V>>(job);
  }

 private:
  using F = typename V::F;
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int kRows = 4;
  static constexpr int kTokens = kLanes > 8 ? 6 : 3;  // registers: rows x tokens sums, the tokens and one row
  static constexpr int64_t kChunk = 1024;             // columns: three tokens of them are 12 KiB
  static constexpr int64_t kRowBlock = 64;

  // Whole vectors of some rows and tokens.
  struct Part {
    const std::byte* weight;
    int64_t row_bytes;
    const float* x;
    int64_t x_stride;
    int64_t vectors;
  };

  template <typename Elements>
  static void multiply_typed(const FewDenseJob& job) {
    const bool one_pass = job.tokens <= kTokens;
    const int64_t chunk = one_pass ? job.in_features : kChunk;
    for (int64_t row = 0; row < job.rows; row += kRowBlock)
      multiply_block<Elements>(job, row, job.rows - row < kRowBlock ? job.rows - row : kRowBlock, chunk);
  }

  template <typename Elements>
  static void multiply_block(const FewDenseJob& job, int64_t first_row, int64_t rows, int64_t chunk) {
    F sums[kRowBlock * kMaxDenseTokens];  // [rows / 4][tokens][4], then [rest][tokens]
    for (int64_t i = 0; i < rows * job.tokens; ++i) sums[i] = V::zero();
    const int64_t whole = job.in_features / kLanes * kLanes;
    for (int64_t column = 0; column < whole; column += chunk)
      for (int64_t token = 0, count; token < job.tokens; token += count) {
        count = group_size(job.tokens - token);
        const int64_t columns = whole - column < chunk ? whole - column : chunk;
        for_rows(rows, [&](auto size, int64_t row, int64_t apart, int64_t place) {
          const Part part{job.weight + (first_row + row) * job.row_bytes + column * Elements::kBytes,
                          apart * job.row_bytes, job.x + token * job.x_stride + column, job.x_stride, columns / kLanes};
          add<Elements, size.rows, kTokens>(part, count, sums + place * job.tokens + token * size.rows);
        });
      }
    for_rows(rows, [&](auto size, int64_t row, int64_t apart, int64_t place) {
      F* of_rows = sums + place * job.tokens;
      if (whole < job.in_features) add_tail<Elements, size.rows>(job, first_row + row, apart, whole, of_rows);
      write<size.rows>(job, first_row + row, apart, of_rows);
    });
  }

  template <int count>
  struct Rows {
    static constexpr int rows = count;
  };
  // Calls visit(size, row, apart, place) for every four rows, `row` and those `apart`, 2 apart and 3 apart behind it,
  // then for each one that is left; their sums stand from `place` rows of sums on. The four lie a quarter of the rows
  // apart: memory serves streams that are far from each other faster, by a fifth, than four neighbouring rows.
  template <typename Visit>
  static void for_rows(int64_t rows, Visit visit) {
    const int64_t quarter = rows / kRows;
    for (int64_t row = 0; row < quarter; ++row) visit(Rows<kRows>(), row, quarter, row * kRows);
    for (int64_t row = quarter * kRows; row < rows; ++row) visit(Rows<1>(), row, 1, row);
  }

  // How many tokens the next of the groups has: as even as possible, so that none is left alone.
  static int64_t group_size(int64_t tokens) {
    const int64_t groups = (tokens + kTokens - 1) / kTokens;
    return (tokens + groups - 1) / groups;
  }

  // sums [count][rows] += the products of a part; `tokens` makes the count a constant of the loop.
  template <typename Elements, int rows, int tokens>
  static void add(const Part& part, int64_t count, F* sums) {
    if constexpr (tokens > 1) {
      if (count < tokens) return add<Elements, rows, tokens - 1>(part, count, sums);
    }
    F sum[tokens][rows];
    for (int t = 0; t < tokens; ++t)
      for (int r = 0; r < rows; ++r) sum[t][r] = sums[t * rows + r];
    const float* inputs = part.x;
    const std::byte* weight = part.weight;
    for (int64_t v = 0; v < part.vectors; ++v, inputs += kLanes, weight += kLanes * Elements::kBytes) {
      F x[tokens];
      for (int t = 0; t < tokens; ++t) x[t] = V::load(inputs + t * part.x_stride);
      for (int r = 0; r < rows; ++r) {
        const F w = Elements::load(weight + r * part.row_bytes);
        for (int t = 0; t < tokens; ++t) sum[t][r] = V::fma(w, x[t], sum[t][r]);
      }
    }
    for (int t = 0; t < tokens; ++t)
      for (int r = 0; r < rows; ++r) sums[t * rows + r] = sum[t][r];
  }

  template <typename Elements, int rows>
  static void add_tail(const FewDenseJob& job, int64_t row, int64_t apart, int64_t column, F* sums) {
    const auto rest = static_cast<size_t>(job.in_features - column);
    alignas(64) std::byte weight[rows * kLanes * Elements::kBytes] = {};
    for (int r = 0; r < rows; ++r)
      std::memcpy(weight + r * kLanes * Elements::kBytes,
                  job.weight + (row + r * apart) * job.row_bytes + column * Elements::kBytes, rest * Elements::kBytes);
    for (int64_t token = 0; token < job.tokens; ++token) {
      alignas(64) float x[kLanes] = {};
      std::memcpy(x, job.x + token * job.x_stride + column, rest * sizeof(float));
      add<Elements, rows, 1>({weight, kLanes * Elements::kBytes, x, 0, 1}, 1, sums + token * rows);
    }
  }

  template <int rows>
  static void write(const FewDenseJob& job, int64_t row, int64_t apart, const F* sums) {
    for (int64_t t = 0; t < job.tokens; ++t, sums += rows) {
      float totals[rows];
      if constexpr (rows == kRows) {
        V::sum4(sums[0], sums[1], sums[2], sums[3], totals);
      } else {
        totals[0] = V::sum(sums[0]);
      }
      for (int r = 0; r < rows; ++r)
        job.y[t * job.y_stride + row + r * apart] =
            totals[r] + (job.bias == nullptr ? 0.0f : job.bias[row + r * apart]);
    }
  }
};

}  // namespace esparse::simd
