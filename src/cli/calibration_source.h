// Where calibration windows come from: the options that `prune` and `compare` share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "io/json.h"
#include "runtime/session.h"

namespace esparse {

struct CalibrationSource {
  std::string calib;  // a file; empty: none
  int64_t samples = 128, seqlen = 0;
  uint64_t seed = 0;

  void add_options(CLI::App& app);
  // Tokens of a window for this model.
  int64_t window_tokens(const Model& model) const;
  // Read first: a mistyped path is noticed before a large model is checked.
  Result<std::vector<std::string>> documents() const;
  Result<std::vector<std::vector<int32_t>>> windows(const Session& session,
                                                    const std::vector<std::string>& documents) const;
  // What esparse.json says of it. No times and no machine: the same input gives the same bytes.
  Json facts(const Model& model, bool calibrated) const;
};

}  // namespace esparse
