// What a budget search has found out, kept in a file so that an interrupted one goes on from there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "search/held_out.h"
#include "search/sensitivity.h"

namespace esparse {

inline constexpr const char* kSearchStateFile = "search.json";

// A model that was pruned as a whole.
struct MeasuredModel {
  std::vector<std::string> options;  // SiteTargets::text() of every group
  HeldOutLoss divergence;
  int64_t bytes = 0;              // of all tensors, as written
  std::optional<double> speedup;  // of decoding, over the dense model on this machine; where it was asked for
  bool operator==(const MeasuredModel& other) const { return options == other.options; }
};

struct SearchState {
  std::vector<BlockSensitivities> sensitivities;
  std::vector<MeasuredModel> measured;

  const MeasuredModel* find(const std::vector<std::string>& options) const;
};

// `fingerprint`: of all that the findings depend on. read: an empty state where there is no file; refuses that of
// another search ("repeat its command line") and a damaged one.
Status write_search_state(const std::filesystem::path& path, uint64_t fingerprint, const SearchState& state);
Result<SearchState> read_search_state(const std::filesystem::path& path, uint64_t fingerprint);

}  // namespace esparse
