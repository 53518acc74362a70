#include "prune/target.h"

#include <algorithm>
#include <charconv>

#include "prune/mask.h"

namespace esparse {
namespace {

// Digits and one point only: std::from_chars alone would take "nan" and "1e1".
Result<double> parse_percentage(std::string_view text) {
  const std::string_view digits = text.substr(0, text.size() - 1);
  double percent = 0.0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), percent);
  const bool plain = digits.find_first_not_of("0123456789.") == std::string_view::npos;
  if (!plain || error != std::errc() || end != digits.data() + digits.size())
    return invalid_argument("pattern {:?}: expected a percentage such as 50% or 62.5%", text.substr(0, 40));
  if (!(percent > 0.0 && percent < 100.0))
    return invalid_argument(
        "pattern {:?}: expected more than 0 % and less than 100 %, the share of the weights that is removed",
        text.substr(0, 40));
  return percent / 100.0;
}

}  // namespace

Result<SparsityScope> parse_sparsity_scope(std::string_view text) {
  if (text == "row") return SparsityScope::row;
  if (text == "layer") return SparsityScope::layer;
  return invalid_argument("sparsity scope {:?}: expected row or layer", text.substr(0, 40));
}

std::string_view sparsity_scope_name(SparsityScope scope) { return scope == SparsityScope::row ? "row" : "layer"; }

Result<PruneTarget> PruneTarget::parse(std::string_view text) {
  if (text == "dense") return dense();
  if (text.ends_with('%')) {
    ESPARSE_ASSIGN_OR_RETURN(const double sparsity, parse_percentage(text));
    return unstructured(sparsity, SparsityScope::row);
  }
  if (SpensePattern::is_meant(text)) {
    ESPARSE_ASSIGN_OR_RETURN(const SpensePattern pattern, SpensePattern::parse(text));
    return spense(pattern.nm, pattern.dense_fraction.value_or(kDefaultDenseFraction));
  }
  if (text.find(':') != std::string_view::npos) {
    ESPARSE_ASSIGN_OR_RETURN(const NmPattern pattern, NmPattern::parse(text));
    return nm(pattern);
  }
  return invalid_argument(
      "pattern {:?}: expected N:M, such as 2:4 (2 kept of every 4 weights), the share to remove, such as 50%, "
      "spense[:FRACTION][:N:M] or dense",
      text.substr(0, 40));
}

std::string PruneTarget::text() const {
  if (kind == TargetKind::dense) return "dense";
  if (kind == TargetKind::nm) return pattern.text();
  if (kind == TargetKind::spense) return spense_text(pattern, dense_fraction);
  return fmt::format("{:.10g}%", sparsity * 100.0);
}

Status PruneTarget::validate() const {
  if ((kind == TargetKind::nm || kind == TargetKind::spense) && !pattern.valid())
    return invalid_argument("pattern {}: expected 1 <= N < M <= {}", pattern.text(), NmPattern::kMaxGroup);
  if (kind == TargetKind::unstructured && !(sparsity > 0.0 && sparsity < 1.0))
    return invalid_argument("sparsity {}: expected more than 0 and less than 1", sparsity);
  if (kind == TargetKind::spense && !(dense_fraction > 0.0 && dense_fraction < 1.0))
    return invalid_argument("dense_fraction {}: expected more than 0 and less than 1", dense_fraction);
  return {};
}

double PruneTarget::density() const {
  if (kind == TargetKind::dense) return 1.0;
  if (kind == TargetKind::spense) return dense_fraction + (1.0 - dense_fraction) * pattern.density();
  return kind == TargetKind::nm ? pattern.density() : 1.0 - sparsity;
}

bool PruneTarget::operator==(const PruneTarget& other) const {
  if (kind != other.kind) return false;
  switch (kind) {
    case TargetKind::dense:
      return true;
    case TargetKind::nm:
      return pattern == other.pattern;
    case TargetKind::unstructured:
      return sparsity == other.sparsity && scope == other.scope;
    case TargetKind::spense:
      return pattern == other.pattern && dense_fraction == other.dense_fraction;
  }
  return false;
}

void make_mask(MatrixView<const float> saliency, const PruneTarget& target, MatrixView<uint8_t> mask) {
  ESPARSE_CHECK(saliency.rows == mask.rows && saliency.cols == mask.cols);
  switch (target.kind) {
    case TargetKind::dense:
      for (int64_t row = 0; row < mask.rows; ++row) std::ranges::fill(mask.row(row), uint8_t{1});
      return;
    case TargetKind::nm:
      return nm_mask(saliency, target.pattern, mask);
    case TargetKind::unstructured:
      return unstructured_mask(saliency, target.sparsity, target.scope, mask);
    case TargetKind::spense:
      break;
  }
  ESPARSE_CHECK(false);
}

}  // namespace esparse
