// Perplexities that papers print for well-known models, to show beside what was measured here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/config.h"

namespace esparse {

// The usual name of a model that has these sizes: "LLaMA-7B"; empty for others. Fine-tuned models have the same sizes,
// so a name says what to compare with, not what the weights are.
std::string_view known_model(const ModelConfig& config);

struct MeasuredOn {
  std::string text_sha256, join, bos;  // how the perplexity was measured
  int64_t context = 0;
  bool adjoining_windows = true;
};

// "11.53 (arXiv 2306.11695)" where a source has this model, recipe and pattern, measured like this on WikiText-2's test
// file; "dense" as recipe for the unpruned model. Empty otherwise: other texts and windows cannot be compared.
std::string published_perplexity(std::string_view model, std::string_view recipe, std::string_view pattern,
                                 const MeasuredOn& on);

}  // namespace esparse
