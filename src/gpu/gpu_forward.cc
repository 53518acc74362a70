#include "gpu/gpu_forward.h"

#include <cmath>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/heads.h"

namespace esparse {
namespace {

const float* floats(const DeviceBytes& bytes) { return bytes.bytes() > 0 ? bytes.as<float>() : nullptr; }
const int32_t* order_of(const DeviceBytes& bytes) { return bytes.bytes() > 0 ? bytes.as<int32_t>() : nullptr; }

}  // namespace

struct GpuForward::Attention {
  const int32_t* positions = nullptr;  // [tokens], on the device
  std::span<const Segment> segments;   // none: one token, by splits
  DecodeSplits splits;
};

Status GpuForward::table_rows(const GpuTable& table, const int32_t* ids, int64_t offset, int64_t tokens, int64_t width,
                              void* y, cuda::Element type, bool add) {
  cuda::EmbedArgs args{};
  args.table = table.data, args.stride = table.stride, args.table_type = table.type;
  args.ids = ids, args.offset = static_cast<int>(offset);
  args.y = y, args.type = type, args.add = add;
  args.tokens = static_cast<int>(tokens), args.width = static_cast<int>(width);
  return device_.launched(device_.backend().tokens->embed(args, stream()), "embed", {tokens, width});
}

Status GpuForward::embed(const int32_t* ids, const int32_t* positions, int64_t tokens) {
  const ModelConfig& c = config();
  if (model_.projects()) {
    ESPARSE_RETURN_IF_ERROR(
        table_rows(model_.embedding, ids, 0, tokens, c.embed_size, space_.x.data(), model_.type, false));
    ESPARSE_RETURN_IF_ERROR(model_.project_in.apply(device_, space_.x.data(), tokens, space_.hidden.data(),
                                                    cuda::Element::f32, false, space_.scratch));
  } else {
    ESPARSE_RETURN_IF_ERROR(
        table_rows(model_.embedding, ids, 0, tokens, c.hidden_size, space_.hidden.data(), cuda::Element::f32, false));
  }
  if (model_.positions.data == nullptr) return {};
  return table_rows(model_.positions, positions, model_.position_offset, tokens, c.hidden_size, space_.hidden.data(),
                    cuda::Element::f32, true);
}

Status GpuForward::normalise(const GpuNorm& norm, const float* x, const int32_t* order, void* y, cuda::Element type,
                             int64_t tokens) {
  const auto rows = static_cast<int>(tokens), width = static_cast<int>(config().hidden_size);
  const cuda::ElementwiseKernels& kernels = *device_.backend().elementwise;
  if (config().family == Family::opt) {
    const cuda::LayerNormArgs args{x,     floats(norm.gain), floats(norm.bias), order, y, type, rows,
                                   width, config().norm_eps};
    return device_.launched(kernels.layer_norm(args, stream()), "layer_norm", {rows, width});
  }
  const cuda::RmsNormArgs args{x, floats(norm.gain), order, y, type, rows, width, config().norm_eps};
  return device_.launched(kernels.rms_norm(args, stream()), "rms_norm", {rows, width});
}

Status GpuForward::half_block_input(const GpuNorm& norm, const DeviceBytes& order, int64_t tokens) {
  const float* hidden = space_.hidden.as<float>();
  if (config().norm_before) return normalise(norm, hidden, order_of(order), space_.x.data(), model_.type, tokens);
  const cuda::GatherArgs args{hidden,      order_of(order),          space_.x.data(),
                              model_.type, static_cast<int>(tokens), static_cast<int>(config().hidden_size)};
  return device_.launched(device_.backend().elementwise->gather(args, stream()), "gather",
                          {tokens, config().hidden_size});
}

Status GpuForward::end_half_block(const GpuNorm& norm, int64_t tokens) {
  if (config().norm_before) return {};
  return normalise(norm, space_.hidden.as<float>(), nullptr, space_.hidden.data(), cuda::Element::f32, tokens);
}

Status GpuForward::prepare_heads(const GpuBlock& block, int64_t row, int64_t rows, const int32_t* positions,
                                 const GpuSequence& sequence, int64_t layer) {
  const ModelConfig& c = config();
  const GpuSequence::Layer cache = sequence.layer(layer);
  cuda::HeadsArgs args{};
  args.qkv = space_.qkv.as<float>() + row * (c.q_features() + 2 * c.kv_features());
  args.q_gain = floats(block.q_norm), args.k_gain = floats(block.k_norm);
  args.cosine = floats(sequence.rotary->cosine), args.sine = floats(sequence.rotary->sine);
  args.positions = positions + row;
  args.q = space_.q.data() + row * c.q_features() * cuda::element_bytes(sequence.type);
  args.keys = cache.keys, args.values = cache.values;
  args.type = sequence.type, args.capacity = sequence.capacity();
  args.tokens = static_cast<int>(rows), args.heads = static_cast<int>(c.num_heads);
  args.kv_heads = static_cast<int>(c.num_kv_heads), args.head_dim = static_cast<int>(c.head_dim);
  args.eps = c.norm_eps;
  return device_.launched(device_.backend().heads->prepare(args, stream()), "prepare_heads",
                          {rows, c.num_heads, c.num_kv_heads, c.head_dim});
}

Status GpuForward::launch_attention(const GpuBlock& block, int64_t row, int64_t rows, const Attention& attention,
                                    const GpuSequence& sequence, int64_t layer) {
  const ModelConfig& c = config();
  const GpuSequence::Layer cache = sequence.layer(layer);
  cuda::AttentionArgs args{};
  args.q = space_.q.data() + row * c.q_features() * cuda::element_bytes(sequence.type);
  args.keys = cache.keys, args.values = cache.values;
  args.positions = attention.positions + row;
  args.out = space_.attended.data() + row * c.q_features() * cuda::element_bytes(model_.type);
  args.type = sequence.type, args.out_type = model_.type, args.capacity = sequence.capacity();
  args.rows = static_cast<int>(rows), args.heads = static_cast<int>(c.num_heads);
  args.kv_heads = static_cast<int>(c.num_kv_heads), args.head_dim = static_cast<int>(c.head_dim);
  args.window = static_cast<int>(block.window);
  args.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  const cuda::AttentionKernels& kernels = *device_.backend().attention;
  const std::initializer_list<int64_t> shape = {rows, c.num_heads, c.num_kv_heads, c.head_dim};
  if (!cuda::attention_has_tiles(c.head_dim, sequence.type))
    return device_.launched(kernels.general(args, stream()), "attention_general", shape);
  if (!attention.segments.empty()) return device_.launched(kernels.prefill(args, stream()), "attention_prefill", shape);
  args.partial = space_.partial.as<float>();
  args.splits = attention.splits.splits, args.split_keys = attention.splits.split_keys;
  return device_.launched(kernels.decode(args, stream()), "attention_decode", shape);
}

Status GpuForward::attend(const GpuBlock& block, int64_t tokens, const Attention& attention,
                          const GpuSequence& sequence, int64_t layer) {
  ESPARSE_RETURN_IF_ERROR(half_block_input(block.attention_norm, block.attention_order, tokens));
  ESPARSE_RETURN_IF_ERROR(
      block.qkv.apply(device_, space_.x.data(), tokens, space_.qkv.data(), cuda::Element::f32, false, space_.scratch));
  const Segment one{tokens, 0};
  int64_t row = 0;
  // A segment reads what stands in the cache now; the next one may overwrite it.
  for (const Segment& segment : attention.segments.empty() ? std::span(&one, 1) : attention.segments) {
    ESPARSE_RETURN_IF_ERROR(prepare_heads(block, row, segment.rows, attention.positions, sequence, layer));
    ESPARSE_RETURN_IF_ERROR(launch_attention(block, row, segment.rows, attention, sequence, layer));
    row += segment.rows;
  }
  ESPARSE_RETURN_IF_ERROR(block.o.apply(device_, space_.attended.data(), tokens, space_.hidden.data(),
                                        cuda::Element::f32, true, space_.scratch));
  return end_half_block(block.attention_norm, tokens);
}

Status GpuForward::feed_forward(const GpuBlock& block, int64_t tokens) {
  const int64_t width = config().intermediate_size;
  ESPARSE_RETURN_IF_ERROR(half_block_input(block.mlp_norm, block.mlp_order, tokens));
  ESPARSE_RETURN_IF_ERROR(
      block.inner.apply(device_, space_.x.data(), tokens, space_.inner.data(), model_.type, false, space_.scratch));
  using cuda::ActivationKind;
  const Activation activation = config().activation;
  const ActivationKind kind = activation == Activation::silu   ? ActivationKind::gated_silu
                              : activation == Activation::relu ? ActivationKind::relu
                                                               : ActivationKind::gelu;
  const cuda::ActivationArgs args{space_.inner.data(),      space_.active.data(),   model_.type, kind,
                                  static_cast<int>(tokens), static_cast<int>(width)};
  ESPARSE_RETURN_IF_ERROR(
      device_.launched(device_.backend().elementwise->activation(args, stream()), "activation", {tokens, width}));
  ESPARSE_RETURN_IF_ERROR(block.down.apply(device_, space_.active.data(), tokens, space_.hidden.data(),
                                           cuda::Element::f32, true, space_.scratch));
  return end_half_block(block.mlp_norm, tokens);
}

Status GpuForward::run_blocks(int64_t tokens, const Attention& attention, const GpuSequence& sequence) {
  for (int64_t layer = 0; layer < config().num_layers; ++layer) {
    const GpuBlock& block = model_.blocks[layer];
    ESPARSE_RETURN_IF_ERROR(attend(block, tokens, attention, sequence, layer));
    ESPARSE_RETURN_IF_ERROR(feed_forward(block, tokens));
  }
  return {};
}

Status GpuForward::blocks(const int32_t* positions, std::span<const Segment> segments, const GpuSequence& sequence) {
  int64_t tokens = 0;
  for (const Segment& segment : segments) tokens += segment.rows;
  return run_blocks(tokens, {positions, segments, {}}, sequence);
}

Status GpuForward::blocks(const int32_t* position, const DecodeSplits& splits, const GpuSequence& sequence) {
  return run_blocks(1, {position, {}, splits}, sequence);
}

Status GpuForward::pick_rows(const DeviceBytes& hidden, const int32_t* ids, int64_t count) {
  GpuTable rows;
  rows.data = hidden.data(), rows.stride = config().hidden_size;
  return table_rows(rows, ids, 0, count, config().hidden_size, space_.picked.data(), cuda::Element::f32, false);
}

Status GpuForward::logits(const float* hidden, int64_t rows, float* logits) {
  const ModelConfig& c = config();
  if (model_.has_final_norm) {
    ESPARSE_RETURN_IF_ERROR(normalise(model_.final_norm, hidden, nullptr, space_.x.data(), model_.type, rows));
  } else {
    const cuda::GatherArgs args{
        hidden, nullptr, space_.x.data(), model_.type, static_cast<int>(rows), static_cast<int>(c.hidden_size)};
    ESPARSE_RETURN_IF_ERROR(
        device_.launched(device_.backend().elementwise->gather(args, stream()), "gather", {rows, c.hidden_size}));
  }
  const std::byte* x = space_.x.data();
  if (model_.projects()) {
    ESPARSE_RETURN_IF_ERROR(
        model_.project_out.apply(device_, x, rows, space_.inner.data(), model_.type, false, space_.scratch));
    x = space_.inner.data();
  }
  return model_.head.apply(device_, x, rows, logits, cuda::Element::f32, false, space_.scratch);
}

Status GpuForward::best_token(const GpuSequence& sequence, bool advance) {
  const cuda::BestTokenArgs args{sequence.last_logits.as<float>(),    space_.best.as<cuda::BestPart>(),
                                 sequence.step.as<cuda::StepState>(), static_cast<int>(config().vocab_size),
                                 static_cast<int>(sequence.choices),  advance};
  return device_.launched(device_.backend().tokens->best_token(args, stream()), "best_token", {config().vocab_size});
}

}  // namespace esparse
