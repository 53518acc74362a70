// Where tokens enter a model and leave it: rows of embedding tables, the most probable id.
#pragma once

#include "kernels/cuda/launch_types.h"

namespace esparse::cuda {

// y[t] (+)= table[ids[t] + offset].
struct EmbedArgs {
  const void* table;   // [rows, width] of `table_type`, a row every `stride` elements
  const int32_t* ids;  // [tokens], each within the table; not checked here
  int offset;
  int64_t stride;
  void* y;  // [tokens, width] of `type`
  Element table_type, type;
  bool add;  // f32 alone
  int tokens, width;
};

// What one step of decoding leaves for the next one, in the memory of the device.
struct StepState {
  int32_t token;     // to be read next
  int32_t position;  // where it stands
  int32_t flags;     // of the latest logits, see below
};
inline constexpr int32_t kLogitsNotFinite = 1, kLogitsNotZero = 2;

struct BestPart {
  float value;
  int32_t id;
  int32_t flags;
};
inline constexpr int kBestParts = 64;  // at most

// state->token = the first of the largest among logits[0, choices); flags of logits[0, vocab). `advance`: the position
// goes on by one.
struct BestTokenArgs {
  const float* logits;
  BestPart* parts;  // [kBestParts]
  StepState* state;
  int vocab, choices;
  bool advance;
};

struct TokenKernels {
  LaunchCode (*embed)(const EmbedArgs& args, Stream stream);
  LaunchCode (*best_token)(const BestTokenArgs& args, Stream stream);
};

}  // namespace esparse::cuda
