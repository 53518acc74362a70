#include "gpu/gpu_sequence.h"

namespace esparse {

Result<std::unique_ptr<GpuSequence>> GpuSequence::make(Device& device, const ModelConfig& config, int64_t layers,
                                                       int64_t capacity, cuda::Element type) {
  auto sequence = std::make_unique<GpuSequence>(*device.backend().runtime, capacity);
  sequence->type = type, sequence->layers = layers;
  sequence->layer_bytes = capacity * config.kv_features() * cuda::element_bytes(type);
  sequence->choices = config.vocab_size;
  const std::string what = fmt::format("keys and values of {} tokens", capacity);
  ESPARSE_ASSIGN_OR_RETURN(sequence->kv, device.allocate(2 * layers * sequence->layer_bytes, what));
  ESPARSE_ASSIGN_OR_RETURN(sequence->step, device.allocate(sizeof(cuda::StepState), what));
  ESPARSE_ASSIGN_OR_RETURN(sequence->last_logits, device.allocate(config.vocab_size * 4, "logits of a token"));
  return sequence;
}

}  // namespace esparse
