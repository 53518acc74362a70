// What a linear is pruned to: nothing removed, N:M, or an unstructured share of its weights.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/matrix.h"
#include "base/status.h"
#include "prune/unstructured_mask.h"
#include "sparse/pattern.h"

namespace esparse {

Result<SparsityScope> parse_sparsity_scope(std::string_view text);  // "row", "layer"
std::string_view sparsity_scope_name(SparsityScope scope);

enum class TargetKind { dense, nm, unstructured };

struct PruneTarget {
  TargetKind kind = TargetKind::nm;
  NmPattern pattern{};                       // nm
  double sparsity = 0.5;                     // unstructured: share of the weights that is REMOVED, in (0, 1)
  SparsityScope scope = SparsityScope::row;  // unstructured

  static PruneTarget dense() { return {.kind = TargetKind::dense}; }
  static PruneTarget nm(NmPattern pattern) { return {.kind = TargetKind::nm, .pattern = pattern}; }
  static PruneTarget unstructured(double sparsity, SparsityScope scope) {
    return {.kind = TargetKind::unstructured, .sparsity = sparsity, .scope = scope};
  }

  // "dense", "2:4" (2 of 4 KEPT), "50%" or "62.5%" (percent of the weights REMOVED; more than 0, less than 100). The
  // scope is not part of the text: a percentage comes back with scope row.
  static Result<PruneTarget> parse(std::string_view text);
  std::string text() const;  // percentages with up to ten digits

  // Refuses numbers out of range: a target need not come from parse().
  Status validate() const;
  double density() const;  // kept share of the weights (N:M: of whole groups)
  bool operator==(const PruneTarget&) const = default;
};

// mask(i, j) = 1 where kept, else 0, by nm_mask() or unstructured_mask(); all 1 for dense. NaN scores must not occur.
void make_mask(MatrixView<const float> saliency, const PruneTarget& target, MatrixView<uint8_t> mask);

}  // namespace esparse
