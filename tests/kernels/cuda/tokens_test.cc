#include "kernels/cuda/tokens.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "kernels/cuda/emulated/backend_emulated.h"

namespace esparse::cuda {
namespace {

const TokenKernels& kernels() { return *emulated_backend().tokens; }

TEST(CudaTokens, EmbedReadsRowsOfEveryType) {
  const int rows = 9, width = 70;
  std::vector<float> table(rows * width);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i % 128);  // exact in every type
  const std::vector<int32_t> ids = {5, 0, 6};
  for (const auto& [type, dtype] :
       {std::pair{Element::f32, DType::f32}, {Element::bf16, DType::bf16}, {Element::f16, DType::f16}}) {
    std::vector<std::byte> bytes(table.size() * dtype_bytes(dtype));
    convert_from_f32(dtype, table, bytes.data());
    for (const bool add : {false, true}) {
      std::vector<float> y(ids.size() * width, add ? 1000.0f : NAN);
      ASSERT_EQ(kernels().embed({bytes.data(), ids.data(), 2, y.data(), type, Element::f32, add, 3, width}, nullptr),
                0);
      for (size_t t = 0; t < ids.size(); ++t)
        for (int k = 0; k < width; ++k)
          EXPECT_EQ(y[t * width + k], table[(ids[t] + 2) * width + k] + (add ? 1000.0f : 0.0f));
    }
    std::vector<bf16> y(ids.size() * width);
    ASSERT_EQ(kernels().embed({bytes.data(), ids.data(), 0, y.data(), type, Element::bf16, false, 3, width}, nullptr),
              0);
    EXPECT_EQ(to_f32(y[width + 3]), table[3]);
  }
}

struct Best {
  StepState state{-1, 10, -1};
  void run(const std::vector<float>& logits, int choices, bool advance = false) {
    std::vector<BestPart> parts(kBestParts);
    const BestTokenArgs args{logits.data(), parts.data(), &state, static_cast<int>(logits.size()), choices, advance};
    ASSERT_EQ(kernels().best_token(args, nullptr), 0);
  }
};

TEST(CudaTokens, BestTokenIsTheFirstOfTheLargest) {
  std::mt19937 random(5);
  for (const int vocab : {1, 33, 1000, 40000}) {
    std::vector<float> logits(vocab);
    for (float& value : logits) value = static_cast<float>(random() % 50) - 60.0f;  // many ties, all negative
    Best best;
    best.run(logits, vocab);
    EXPECT_EQ(best.state.token, std::ranges::max_element(logits) - logits.begin()) << vocab;
    EXPECT_EQ(best.state.flags, kLogitsNotZero);
    EXPECT_EQ(best.state.position, 10);
    const int choices = (vocab + 1) / 2;
    best.run(logits, choices, true);
    EXPECT_EQ(best.state.token, std::max_element(logits.begin(), logits.begin() + choices) - logits.begin());
    EXPECT_EQ(best.state.position, 11);
  }
}

TEST(CudaTokens, BestTokenSaysWhatIsWrongWithLogits) {
  Best best;
  best.run(std::vector<float>(100), 100);
  EXPECT_EQ(best.state.flags, 0);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> logits(300, 1.0f);
    logits[250] = bad;
    best.run(logits, 100);
    EXPECT_EQ(best.state.flags, kLogitsNotFinite | kLogitsNotZero) << bad << ", beyond the choices too";
    EXPECT_EQ(best.state.token, 0);
  }
}

}  // namespace
}  // namespace esparse::cuda
