// What a linear is pruned to: nothing removed, N:M, an unstructured share of its weights, or Spense.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/matrix.h"
#include "base/status.h"
#include "prune/unstructured_mask.h"
#include "sparse/pattern.h"
#include "sparse/spense_pattern.h"

namespace esparse {

Result<SparsityScope> parse_sparsity_scope(std::string_view text);  // "row", "layer"
std::string_view sparsity_scope_name(SparsityScope scope);

enum class TargetKind { dense, nm, unstructured, spense };

struct PruneTarget {
  TargetKind kind = TargetKind::nm;
  NmPattern pattern{};                            // nm, and of the N:M region of spense
  double sparsity = 0.5;                          // unstructured: share of the weights that is REMOVED, in (0, 1)
  SparsityScope scope = SparsityScope::row;       // unstructured
  double dense_fraction = kDefaultDenseFraction;  // spense: share of the rows or columns that stays dense, in (0, 1)

  static PruneTarget dense() { return {.kind = TargetKind::dense}; }
  static PruneTarget nm(NmPattern pattern) { return {.kind = TargetKind::nm, .pattern = pattern}; }
  static PruneTarget unstructured(double sparsity, SparsityScope scope) {
    return {.kind = TargetKind::unstructured, .sparsity = sparsity, .scope = scope};
  }

  static PruneTarget spense(NmPattern pattern, double dense_fraction) {
    return {.kind = TargetKind::spense, .pattern = pattern, .dense_fraction = dense_fraction};
  }

  // "dense", "2:4" (2 of 4 KEPT), "50%" or "62.5%" (percent of the weights REMOVED; more than 0, less than 100),
  // "spense[:FRACTION][:N:M]" (sparse/spense_pattern.h). The scope is not part of the text: a percentage comes back
  // with scope row.
  static Result<PruneTarget> parse(std::string_view text);
  std::string text() const;  // percentages with up to ten digits

  // Refuses numbers out of range: a target need not come from parse().
  Status validate() const;
  double density() const;  // kept share of the weights (N:M: of whole groups)
  // What the part that is pruned obeys: N:M for spense, otherwise the target itself.
  PruneTarget of_pruned_part() const { return kind == TargetKind::spense ? nm(pattern) : *this; }
  // By what the kind reads: two targets of 2:4 are equal whatever their sparsity.
  bool operator==(const PruneTarget& other) const;
};

// mask(i, j) = 1 where kept, else 0, by nm_mask() or unstructured_mask(); all 1 for dense. NaN scores must not occur.
// Not for spense: which part is pruned is not the target's to say.
void make_mask(MatrixView<const float> saliency, const PruneTarget& target, MatrixView<uint8_t> mask);

}  // namespace esparse
