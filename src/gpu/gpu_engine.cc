#include "gpu/gpu_engine.h"

#include <algorithm>

#include "kernels/cuda/sparse_library.h"

namespace esparse {
namespace {

GpuSequence& of(Sequence& sequence) { return static_cast<GpuSequence&>(sequence); }

cuda::Element element_of(DType dtype) {
  return dtype == DType::f32 ? cuda::Element::f32 : dtype == DType::f16 ? cuda::Element::f16 : cuda::Element::bf16;
}

std::span<const std::byte> bytes_of(const cuda::StepState& state) { return std::as_bytes(std::span(&state, 1)); }

}  // namespace

Result<std::unique_ptr<GpuEngine>> GpuEngine::create(std::unique_ptr<Device> device, const Model& model,
                                                     const GpuEngineOptions& options) {
  ESPARSE_ASSIGN_OR_RETURN(GpuModel uploaded, GpuModel::upload(*device, model));
  std::unique_ptr<GpuEngine> engine(new GpuEngine(std::move(device), std::move(uploaded)));
  const int64_t max_tokens = std::max<int64_t>(std::min(options.max_tokens, engine->config().max_positions), 1);
  ESPARSE_RETURN_IF_ERROR(engine->choose_kernels(options, max_tokens));
  ESPARSE_RETURN_IF_ERROR(engine->ensure_workspace(max_tokens));
  return engine;
}

Status GpuEngine::add_library_copies(std::span<DeviceWeight* const> weights) {
  const cuda::SparseLibrary* library = device_->backend().sparse_library;
  ESPARSE_RETURN_IF_ERROR(library->version().status());
  int64_t copies = 0;
  for (DeviceWeight* weight : weights) {
    const int64_t before = weight->bytes();
    const Status added = add_library_copy(*device_, *weight);
    if (added.kind() == StatusKind::unsupported) continue;  // dense, or sides that do not suit the library
    ESPARSE_RETURN_IF_ERROR(added);
    model_.memory.weights += weight->bytes() - before, model_.memory.linears += weight->bytes() - before;
    ++copies;
  }
  if (copies > 0) return {};
  return unsupported("sparse library: the model has no 2:4 linear whose sides are multiples of {}",
                     cuda::SparseLibrary::kSideMultiple);
}

Status GpuEngine::choose_kernels(const GpuEngineOptions& options, int64_t max_tokens) {
  const std::vector<DeviceWeight*> weights = model_.linear_weights();
  if (options.sparse_library) ESPARSE_RETURN_IF_ERROR(add_library_copies(weights));
  if (!options.measure_plans) return {};
  PlanMeasurementOptions measurement;
  measurement.max_tokens = max_tokens;
  ESPARSE_ASSIGN_OR_RETURN(plans_, measure_device_plans(*device_, weights, measurement));
  return {};
}

EngineMemory GpuEngine::memory() const {
  EngineMemory memory = model_.memory;
  memory.workspace = space_.bytes();
  if (rotary_ != nullptr) memory.workspace += rotary_->cosine.bytes() + rotary_->sine.bytes();
  return memory;
}

Status GpuEngine::ensure_workspace(int64_t max_tokens) {
  if (max_tokens <= space_.max_tokens) return {};
  ESPARSE_RETURN_IF_ERROR(device_->synchronize());
  space_ = {};  // makes room
  ESPARSE_ASSIGN_OR_RETURN(space_, GpuWorkspace::make(*device_, model_, max_tokens));
  ++workspace_version_;
  return {};
}

Result<std::unique_ptr<GpuSequence>> GpuEngine::make(int64_t layers, int64_t capacity, cuda::Element type) {
  const int64_t positions = std::min(capacity, config().max_positions);
  if (rotary_ == nullptr || rotary_->positions < positions) {
    ESPARSE_ASSIGN_OR_RETURN(RotaryTable table, RotaryTable::upload(*device_, config(), positions));
    rotary_ = std::make_shared<const RotaryTable>(std::move(table));
  }
  ESPARSE_ASSIGN_OR_RETURN(auto sequence, GpuSequence::make(*device_, config(), layers, capacity, type));
  sequence->rotary = rotary_;
  return sequence;
}

Result<std::unique_ptr<Sequence>> GpuEngine::make_sequence(const SequenceOptions& options) {
  const cuda::Element type = options.kv_dtype ? element_of(*options.kv_dtype) : model_.type;
  ESPARSE_ASSIGN_OR_RETURN(auto sequence, make(config().num_layers, options.capacity, type));
  if (options.choices > 0) sequence->choices = options.choices;
  return std::unique_ptr<Sequence>(std::move(sequence));
}

Result<std::unique_ptr<Sequence>> GpuEngine::make_scratch(int64_t capacity) {
  ESPARSE_ASSIGN_OR_RETURN(auto sequence, make(1, capacity, model_.type));
  return std::unique_ptr<Sequence>(std::move(sequence));
}

Status GpuEngine::ensure_hidden(GpuSequence& sequence, int64_t rows) {
  const int64_t bytes = rows * config().hidden_size * 4;
  if (bytes <= sequence.hidden.bytes()) return {};
  sequence.hidden = {};
  ESPARSE_ASSIGN_OR_RETURN(sequence.hidden, device_->allocate(bytes, fmt::format("hidden states of {} tokens", rows)));
  return {};
}

Status GpuEngine::run(std::span<const int32_t> tokens, std::span<const Segment> segments, GpuSequence& sequence) {
  host_positions_.clear();
  for (const Segment& segment : segments)
    for (int64_t i = 0; i < segment.rows; ++i)
      host_positions_.push_back(static_cast<int32_t>(segment.first_position + i));
  ESPARSE_RETURN_IF_ERROR(device_->upload_to(space_.ids.data(), std::as_bytes(tokens)));
  ESPARSE_RETURN_IF_ERROR(device_->upload_to(space_.positions.data(), std::as_bytes(std::span(host_positions_))));
  const auto* positions = space_.positions.as<int32_t>();
  ESPARSE_RETURN_IF_ERROR(pass().embed(space_.ids.as<int32_t>(), positions, std::ssize(tokens)));
  return pass().blocks(positions, segments, sequence);
}

Status GpuEngine::finish_last(const float* hidden, GpuSequence& sequence) {
  ESPARSE_RETURN_IF_ERROR(pass().logits(hidden, 1, sequence.last_logits.as<float>()));
  return pass().best_token(sequence, false);
}

Status GpuEngine::forward(std::span<const int32_t> tokens, Sequence& base, LogitsOf wanted) {
  GpuSequence& sequence = of(base);
  const int64_t count = std::ssize(tokens), first = sequence.length(), width = config().hidden_size;
  ESPARSE_RETURN_IF_ERROR(check_token_ids(config(), tokens));
  ESPARSE_RETURN_IF_ERROR(check_position(config(), first + count, sequence.capacity()));
  sequence.rows = count, sequence.all_rows = wanted == LogitsOf::all_tokens;
  if (count == 0) return {};
  if (count == 1 && !sequence.all_rows) {
    ESPARSE_RETURN_IF_ERROR(decode(tokens[0], sequence));
    sequence.set_length(first + 1);
    return {};
  }
  if (sequence.all_rows) ESPARSE_RETURN_IF_ERROR(ensure_hidden(sequence, std::max(count, sequence.capacity())));
  for (int64_t done = 0; done < count; done += space_.max_tokens) {
    const Segment part{std::min(space_.max_tokens, count - done), first + done};
    ESPARSE_RETURN_IF_ERROR(run(tokens.subspan(done, part.rows), std::span(&part, 1), sequence));
    if (sequence.all_rows)
      ESPARSE_RETURN_IF_ERROR(
          device_->copy(sequence.hidden.data() + done * width * 4, space_.hidden.data(), part.rows * width * 4));
    else if (done + part.rows == count)
      ESPARSE_RETURN_IF_ERROR(finish_last(space_.hidden.as<float>() + (part.rows - 1) * width, sequence));
  }
  sequence.known = {-1, -1, 0};
  sequence.set_length(first + count);
  return {};
}

Status GpuEngine::forward_segments(std::span<const int32_t> tokens, std::span<const Segment> segments,
                                   Sequence& scratch) {
  GpuSequence& sequence = of(scratch);
  ESPARSE_RETURN_IF_ERROR(check_token_ids(config(), tokens));
  int64_t rows = 0, known = 0;  // known: positions that hold a token of this batch
  for (const Segment& segment : segments) {
    ESPARSE_CHECK(segment.rows > 0 && segment.first_position <= known);
    known = segment.first_position + segment.rows;
    ESPARSE_RETURN_IF_ERROR(check_position(config(), known, sequence.capacity()));
    rows += segment.rows;
  }
  ESPARSE_CHECK(rows == std::ssize(tokens));
  sequence.rows = rows, sequence.all_rows = true;
  if (rows == 0) return {};
  ESPARSE_RETURN_IF_ERROR(ensure_workspace(rows));  // one layer's cache serves all, so the batch is one pass
  ESPARSE_RETURN_IF_ERROR(ensure_hidden(sequence, rows));
  ESPARSE_RETURN_IF_ERROR(run(tokens, segments, sequence));
  return device_->copy(sequence.hidden.data(), space_.hidden.data(), rows * config().hidden_size * 4);
}

Status GpuEngine::launch_step(const DecodeSplits& splits, GpuSequence& sequence) {
  auto* step = sequence.step.as<cuda::StepState>();
  ESPARSE_RETURN_IF_ERROR(pass().embed(&step->token, &step->position, 1));
  ESPARSE_RETURN_IF_ERROR(pass().blocks(&step->position, splits, sequence));
  ESPARSE_RETURN_IF_ERROR(pass().logits(space_.hidden.as<float>(), 1, sequence.last_logits.as<float>()));
  return pass().best_token(sequence, true);
}

Result<cuda::Graph> GpuEngine::capture_step(const DecodeSplits& splits, GpuSequence& sequence) {
  const cuda::Runtime& runtime = *device_->backend().runtime;
  ESPARSE_RETURN_IF_ERROR(runtime.begin_capture(device_->stream()));
  const Status launched = launch_step(splits, sequence);
  Result<cuda::Graph> graph = runtime.end_capture(device_->stream());
  if (!launched.ok()) {
    if (graph.ok()) runtime.destroy_graph(*graph);
    return launched;
  }
  return graph;
}

Status GpuEngine::decode(int32_t token, GpuSequence& sequence) {
  const auto position = static_cast<int32_t>(sequence.length());
  if (sequence.known.token != token || sequence.known.position != position)
    ESPARSE_RETURN_IF_ERROR(device_->upload_to(sequence.step.data(), bytes_of({token, position, 0})));
  sequence.known = {-1, position + 1, 0};  // the token is known once it has been read back
  const DecodeSplits splits = decode_splits(config(), position + 1);
  if (sequence.workspace_version != workspace_version_) sequence.graphs.clear();
  sequence.workspace_version = workspace_version_;
  cuda::Graph graph = sequence.graphs.find(splits.context);
  if (graph == nullptr && warm_ && has_graphs_) {
    const Result<cuda::Graph> captured = capture_step(splits, sequence);
    if (captured.ok())
      sequence.graphs.keep(splits.context, graph = *captured);
    else if (captured.status().kind() == StatusKind::unsupported)
      has_graphs_ = false;
    else
      return captured.status().with_context("capturing a step of decoding");
  }
  if (graph != nullptr) return device_->backend().runtime->launch_graph(graph, device_->stream());
  warm_ = true;
  return launch_step(splits, sequence);
}

Status GpuEngine::logits(std::span<const int64_t> rows, Sequence& base, MatrixView<float> logits) {
  GpuSequence& sequence = of(base);
  const int64_t count = std::ssize(rows), vocab = config().vocab_size;
  const auto download = [&](const DeviceBytes& source, int64_t first, int64_t here) -> Status {
    ESPARSE_CHECK(logits.stride == vocab);
    return device_->download(std::as_writable_bytes(std::span(logits.row(first).data(), here * vocab)), source.data());
  };
  if (!sequence.all_rows) {
    ESPARSE_CHECK(count == 1 && rows[0] == sequence.rows - 1);
    return download(sequence.last_logits, 0, 1);
  }
  for (int64_t first = 0; first < count; first += kGpuLogitRows) {
    const int64_t here = std::min(kGpuLogitRows, count - first);
    std::vector<int32_t> ids;
    for (const int64_t row : rows.subspan(first, here)) {
      ESPARSE_CHECK(row >= 0 && row < sequence.rows);
      ids.push_back(static_cast<int32_t>(row));
    }
    ESPARSE_RETURN_IF_ERROR(device_->upload_to(space_.ids.data(), std::as_bytes(std::span(ids))));
    ESPARSE_RETURN_IF_ERROR(pass().pick_rows(sequence.hidden, space_.ids.as<int32_t>(), here));
    ESPARSE_RETURN_IF_ERROR(pass().logits(space_.picked.as<float>(), here, space_.logits.as<float>()));
    ESPARSE_RETURN_IF_ERROR(download(space_.logits, first, here));
  }
  return {};
}

Result<BestToken> GpuEngine::best_token(Sequence& base) {
  GpuSequence& sequence = of(base);
  if (sequence.all_rows)
    ESPARSE_RETURN_IF_ERROR(
        finish_last(sequence.hidden.as<float>() + (sequence.rows - 1) * config().hidden_size, sequence));
  cuda::StepState state{};
  ESPARSE_RETURN_IF_ERROR(device_->download(std::as_writable_bytes(std::span(&state, 1)), sequence.step.data()));
  sequence.known.token = state.token;
  return BestToken{.id = state.token,
                   .finite = (state.flags & cuda::kLogitsNotFinite) == 0,
                   .zero = (state.flags & cuda::kLogitsNotZero) == 0};
}

}  // namespace esparse
