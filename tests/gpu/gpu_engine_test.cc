// The engine on the emulated GPU beside the CPU's, for every golden model and for models with heads of a usual size.
#include "gpu/gpu_engine.h"

#include "gpu/engine_support.h"

namespace esparse {
namespace {

// Inputs of linears, keys, values and, for f32 models, weights are rounded to bf16, which these small random models
// magnify from layer to layer; the same bound as for the CPU's own bf16 (tests/model/parity_test.cc).
constexpr float kTolerance = 0x1p-4f;
// f16 keeps three bits more.
constexpr float kF16Tolerance = 0x1p-7f;

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenModels))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

class GpuGolden : public testing::TestWithParam<std::string> {
 protected:
  GpuGolden()
      : model_(load_model(kGoldenModels / GetParam())), cpu_(*model_), ids_(golden_ids(GetParam(), "input_ids")) {
    ids_.resize(std::min<size_t>(ids_.size(), 14));
  }
  float tolerance() const { return GetParam() == "llama-f16" ? kF16Tolerance : kTolerance; }

  std::unique_ptr<Model> model_;
  CpuEngine cpu_;
  std::vector<int32_t> ids_;
};

TEST_P(GpuGolden, LogitsAgreeWithTheCpu) {
  const Matrix<float> expected = logits_in_parts(cpu_, ids_, {14});
  const auto gpu = gpu_engine(*model_);
  const float all = relative_difference(logits_in_parts(*gpu, ids_, {14}), expected);
  const float parts = relative_difference(logits_in_parts(*gpu, ids_, {1, 3, 1, 1, 6}), expected);
  const float exact_cache = relative_difference(logits_in_parts(*gpu, ids_, {5, 1}, DType::f32), expected);
  const auto in_chunks = gpu_engine(*model_, 4);
  const float chunks = relative_difference(logits_in_parts(*in_chunks, ids_, {14}), expected);
  RecordProperty("differences", fmt::format("{} {} {} {}", all, parts, exact_cache, chunks));
  for (const float difference : {all, parts, exact_cache, chunks}) EXPECT_LT(difference, tolerance());
}

// As tests/model/parity_test.cc: the text in pieces, with detours that are overwritten.
TEST_P(GpuGolden, SegmentsAgreeWithTheCpu) {
  std::vector<int32_t> batch;
  std::vector<Segment> segments;
  const int64_t steps[] = {5, 1, 7, 2};
  const auto tokens = std::ssize(ids_);
  for (int64_t done = 0, turn = 0; done < tokens; ++turn) {
    const int64_t count = std::min(steps[turn % 4], tokens - done), detour = std::min<int64_t>(3, tokens - done);
    for (int64_t i = 0; i < detour; ++i) batch.push_back(static_cast<int32_t>((turn + i) % 50));
    segments.push_back({detour, done});
    batch.insert(batch.end(), ids_.begin() + done, ids_.begin() + done + count);
    segments.push_back({count, done});
    done += count;
  }
  const auto run = [&](Engine& engine) {
    auto scratch = engine.make_scratch(tokens);
    EXPECT_TRUE(scratch.ok());
    const Status status = engine.forward_segments(batch, segments, **scratch);
    EXPECT_TRUE(status.ok()) << status.message();
    return last_pass(engine, **scratch, std::ssize(batch));
  };
  const auto gpu = gpu_engine(*model_, 4);  // the workspace grows
  EXPECT_LT(relative_difference(run(*gpu), run(cpu_)), tolerance());
}

INSTANTIATE_TEST_SUITE_P(Golden, GpuGolden, testing::ValuesIn(golden_names()), [](const auto& fixture) {
  std::string name = fixture.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

// Greedy text, each token chosen on the device. Steps whose two best logits are nearer than rounding can move them are
// not compared; `least` must be.
void compare_greedy(Engine& cpu, Engine& gpu, std::vector<int32_t> ids, int steps, int least) {
  const auto a = make_sequence(cpu, std::ssize(ids) + steps),
             b = make_sequence(gpu, std::ssize(ids) + steps, DType::f16);
  int compared = 0;
  for (int step = 0; step < steps; ++step) {
    ASSERT_TRUE(cpu.forward(ids, *a, LogitsOf::last_token).ok());
    ASSERT_TRUE(gpu.forward(ids, *b, LogitsOf::last_token).ok());
    const auto expected = cpu.best_token(*a), got = gpu.best_token(*b);
    ASSERT_TRUE(expected.ok() && got.ok());
    EXPECT_TRUE(got->finite && !got->zero);
    Matrix<float> logits(1, cpu.config().vocab_size);
    ASSERT_TRUE(cpu.logits(std::ssize(ids) - 1, *a, logits.view()).ok());
    std::vector<float> sorted(logits.values().begin(), logits.values().end());
    std::ranges::sort(sorted, std::greater());
    ids = {expected->id};
    if (sorted[0] - sorted[1] < 2 * kF16Tolerance * std::abs(sorted[0])) continue;
    EXPECT_EQ(got->id, expected->id) << "step " << step;
    ++compared;
  }
  EXPECT_GE(compared, least);
}

TEST(GpuEngine, GreedyTextIsTheCpus) {
  const auto model = load_model(kGoldenModels / "llama-f16");
  CpuEngine cpu(*model);
  const auto gpu = gpu_engine(*model);
  std::vector<int32_t> ids = golden_ids("llama-f16", "input_ids");
  ids.resize(8);
  compare_greedy(cpu, *gpu, ids, 24, 16);
}

class GpuRandomModel : public testing::TestWithParam<RandomModel> {};

TEST_P(GpuRandomModel, AgreesWithTheCpu) {
  const TempDir directory;
  write_random_model(GetParam(), directory.path());
  const auto model = load_model(directory.path());
  CpuEngine cpu(*model);
  const auto gpu = gpu_engine(*model, 70);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 90; ++i) ids.push_back(i * i % 80);
  const Matrix<float> expected = logits_in_parts(cpu, ids, {90});
  for (const auto& parts : {std::vector<int64_t>{90}, {20, 1, 1, 64}})
    EXPECT_LT(relative_difference(logits_in_parts(*gpu, ids, parts), expected), kTolerance) << parts[0];
  const Matrix<float> once = logits_in_parts(*gpu, ids, {90}), again = logits_in_parts(*gpu, ids, {90});
  EXPECT_TRUE(std::ranges::equal(once.values(), again.values())) << "the same bits every time";
}

INSTANTIATE_TEST_SUITE_P(
    Heads, GpuRandomModel,
    testing::Values(RandomModel{}, RandomModel{.dtype = "float16", .heads = 3, .kv_heads = 3, .layers = 1},
                    RandomModel{
                        .type = "mistral", .heads = 4, .kv_heads = 2, .head_dim = 80, .layers = 1, .window = 37},
                    RandomModel{.type = "qwen3", .heads = 2, .head_dim = 128, .layers = 1, .tied = true}));

// Every linear of the blocks in a packed form, channels in an order.
class GpuPacked : public testing::TestWithParam<const char*> {};

void pack(LinearLayer& layer, const std::string& form) {
  const int64_t group = form == "4:8" ? 8 : 4, dense = form.starts_with("spense") ? 8 : 0;
  const bool rows = form == "spense rows";
  Matrix<float> weight = layer.weight_as_f32();
  for (int64_t i = 0; i < weight.rows() - (rows ? dense : 0); ++i)
    for (int64_t j = 0; j < weight.cols() - (rows ? 0 : dense); ++j) {
      const int64_t k = i + j / group;  // where the zeros of a group begin
      if (form == "bitmap" ? (i * 7 + j * 5) % 11 < 5 : (j % group + group - k % group) % group < group / 2)
        weight(i, j) = 0;
    }
  std::vector<std::byte> bytes(static_cast<size_t>(layer.weight_bytes()));
  convert_from_f32(layer.dtype(), weight.values(), bytes.data());
  const int64_t out = layer.out_features(), in = layer.in_features();
  if (form == "bitmap")
    layer.set_packed(pack_bitmap(layer.dtype(), bytes, out, in).value());
  else if (dense > 0)
    layer.set_packed(
        pack_spense({rows ? SpenseSplit::out : SpenseSplit::in, {2, 4}, dense}, layer.dtype(), bytes, out, in).value());
  else
    layer.set_packed(pack_nm(form == "4:8" ? NmPattern{4, 8} : NmPattern{2, 4}, layer.dtype(), bytes, out, in).value());
}

TEST_P(GpuPacked, AgreesWithTheCpu) {
  const auto model = load_model(kGoldenModels / "llama-bf16");
  std::mt19937 random(5);
  for (DecoderBlock& block : model->blocks()) {
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site)) pack(*layer, GetParam());
    for (std::vector<int32_t>* order : {&block.attention_order, &block.mlp_order}) {
      order->resize(static_cast<size_t>(model->config().hidden_size));
      for (size_t k = 0; k < order->size(); ++k) (*order)[k] = static_cast<int32_t>(k);
      std::shuffle(order->begin(), order->end(), random);
    }
  }
  CpuEngine cpu(*model);
  const auto gpu = gpu_engine(*model);
  std::vector<int32_t> ids = golden_ids("llama-bf16", "input_ids");
  ids.resize(14);
  const Matrix<float> expected = logits_in_parts(cpu, ids, {14});
  EXPECT_LT(relative_difference(logits_in_parts(*gpu, ids, {14}), expected), kTolerance);
  EXPECT_LT(relative_difference(logits_in_parts(*gpu, ids, {4, 1}), expected), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Forms, GpuPacked, testing::Values("2:4", "4:8", "bitmap", "spense rows", "spense columns"),
                         [](const auto& form) {
                           std::string name = form.param;
                           std::ranges::replace_if(
                               name, [](char c) { return c == ':' || c == ' '; }, '_');
                           return name;
                         });

// Kernels chosen by measuring, and the copy for the library, change neither results nor what memory() promises.
TEST(GpuEngine, MeasuredPlansAndCopiesGiveTheSameLogits) {
  const auto model = load_model(kGoldenModels / "llama-bf16");
  for (DecoderBlock& block : model->blocks())
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site)) pack(*layer, "2:4");
  CpuEngine cpu(*model);
  std::vector<int32_t> ids = golden_ids("llama-bf16", "input_ids");
  ids.resize(9);
  const Matrix<float> expected = logits_in_parts(cpu, ids, {9});
  const int64_t plain_bytes = gpu_engine(*model)->memory().linears;
  for (const bool sparse_library : {false, true}) {
    auto device = Device::open(cuda::test_backend());
    ASSERT_TRUE(device.ok());
    const auto engine = GpuEngine::create(std::move(device).value(), *model,
                                          {.max_tokens = 4, .measure_plans = true, .sparse_library = sparse_library});
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    const auto& rows = (*engine)->plans();
    ASSERT_FALSE(rows.empty());
    EXPECT_EQ(rows.front().weights, std::ssize(model->blocks()));
    EXPECT_EQ(rows.front().choices[0].times.size(), sparse_library ? 4u : 3u);
    EXPECT_EQ((*engine)->memory().linears > plain_bytes, sparse_library);
    EXPECT_LT(relative_difference(logits_in_parts(**engine, ids, {4, 1}), expected), kTolerance);
  }
}

TEST(GpuEngine, RefusesAsTheCpuDoes) {
  const auto model = load_model(kGoldenModels / "llama-bf16");
  const auto gpu = gpu_engine(*model);
  const auto sequence = make_sequence(*gpu, 200);
  const std::vector<int32_t> outside = {5, 96}, many(129, 1);
  Status status = gpu->forward(outside, *sequence, LogitsOf::last_token);
  EXPECT_NE(status.message().find("token id 96: expected 0 to 95"), std::string::npos) << status.message();
  status = gpu->forward(many, *sequence, LogitsOf::last_token);
  EXPECT_NE(status.message().find("the model has 128 positions"), std::string::npos) << status.message();
  EXPECT_EQ(sequence->length(), 0);
}

TEST(GpuEngine, SaysWhatDoesNotFit) {
  const auto model = load_model(kGoldenModels / "llama-bf16");
  const auto gpu = gpu_engine(*model);
  const auto sequence = gpu->make_sequence({.capacity = int64_t{1} << 33, .kv_dtype = {}});
  ASSERT_FALSE(sequence.ok());
  EXPECT_EQ(sequence.status().kind(), StatusKind::out_of_memory);
  EXPECT_NE(sequence.status().message().find("keys and values of 8589934592 tokens"), std::string::npos)
      << sequence.status().message();
}

TEST(GpuEngine, CountsItsMemory) {
  const auto model = load_model(kGoldenModels / "llama-bf16");
  const auto gpu = gpu_engine(*model);
  const EngineMemory memory = gpu->memory(), on_cpu = CpuEngine(*model).memory();
  EXPECT_EQ(memory.linears, on_cpu.linears);  // dense bf16 on both
  EXPECT_GE(memory.weights, memory.linears + 96 * 32 * 2);
  EXPECT_GT(memory.workspace, 128 * 32 * 4);
  EXPECT_EQ(make_sequence(*gpu, 10, DType::f16)->kv_bytes(), 2 * 2 * 10 * 16 * 2);
}

}  // namespace
}  // namespace esparse
