// One choice of each part of the pruning machine. Any combination is legal unless validate() refuses it by name.
#pragma once

#include "base/status.h"
#include "calibrate/entropy.h"
#include "io/json.h"
#include "prune/saliency.h"
#include "prune/shuffle.h"
#include "sparse/pattern.h"

namespace esparse {

struct Recipe {
  const SaliencyMethod* saliency = nullptr;
  SaliencyOptions saliency_options;
  EntropyRange entropy_range;
  int entropy_bins = kEntropyBins;
  NmPattern pattern;
  ShuffleOptions shuffle;

  Status validate() const;
  Json to_json() const;  // as the report stores it
};

}  // namespace esparse
