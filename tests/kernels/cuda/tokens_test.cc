#include "kernels/cuda/tokens.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/dtype.h"
#include "kernels/cuda/test_backend.h"

namespace esparse::cuda {
namespace {

const TokenKernels& kernels() { return *test_backend().tokens; }

// Rows of a table whose stride is wider than they are.
TEST(CudaTokens, EmbedReadsRowsOfEveryType) {
  const int rows = 9, width = 70, stride = 72;
  std::vector<float> table(rows * stride);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i % 128);  // exact in every type
  const std::vector<int32_t> ids = {5, 0, 6};
  const TestArray<int32_t> device_ids(ids);
  for (const auto& [type, dtype] :
       {std::pair{Element::f32, DType::f32}, {Element::bf16, DType::bf16}, {Element::f16, DType::f16}}) {
    std::vector<std::byte> bytes(table.size() * dtype_bytes(dtype));
    convert_from_f32(dtype, table, bytes.data());
    const TestArray<std::byte> device_table(bytes);
    EmbedArgs args{device_table.data(), device_ids.data(), 2, stride, nullptr, type, Element::f32, false, 3, width};
    for (const bool add : {false, true}) {
      const TestArray<float> y(std::vector<float>(ids.size() * width, add ? 1000.0f : NAN));
      args.y = y.data(), args.add = add;
      ASSERT_TRUE(launched(kernels().embed(args, test_stream())));
      const std::vector<float> got = y.values();
      for (size_t t = 0; t < ids.size(); ++t)
        for (int k = 0; k < width; ++k)
          EXPECT_EQ(got[t * width + k], table[(ids[t] + 2) * stride + k] + (add ? 1000.0f : 0.0f));
    }
    const TestArray<bf16> y(ids.size() * width);
    args.y = y.data(), args.type = Element::bf16, args.offset = 0, args.add = false;
    ASSERT_TRUE(launched(kernels().embed(args, test_stream())));
    EXPECT_EQ(to_f32(y.values()[width + 3]), table[3]);
  }
}

struct Best {
  StepState state{-1, 10, -1};
  void run(const std::vector<float>& logits, int choices, bool advance = false) {
    const TestArray<float> device_logits(logits);
    const TestArray<BestPart> parts(kBestParts);
    const TestArray<StepState> device_state(std::vector<StepState>{state});
    const BestTokenArgs args{
        device_logits.data(), parts.data(), device_state.data(), static_cast<int>(logits.size()), choices, advance};
    ASSERT_TRUE(launched(kernels().best_token(args, test_stream())));
    state = device_state.values()[0];
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
