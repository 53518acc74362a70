#include "bench/bench_pattern.h"

#include <algorithm>
#include <charconv>
#include <random>

#include "bench/comma_list.h"
#include "sparse/spense_pattern.h"

namespace esparse {
namespace {

constexpr std::string_view kUnstructured = "unstructured:";

Result<BenchPattern> parse_one(std::string_view text) {
  BenchPattern pattern{std::string(text)};
  if (text == "dense") return pattern;
  if (SpensePattern::is_meant(text)) {
    const auto spense = SpensePattern::parse(text);
    if (!spense.ok()) return spense.status().with_context("--pattern");
    pattern.nm = spense->nm;
    pattern.dense_fraction = spense->dense_fraction.value_or(kDefaultDenseFraction);
    return pattern;
  }
  if (text.starts_with(kUnstructured)) {
    const std::string_view number = text.substr(kUnstructured.size());
    double density = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), density);
    if (error != std::errc() || end != number.data() + number.size() || !(density > 0 && density < 1))
      return invalid_argument("--pattern: unstructured: expected the share that is kept, between 0 and 1, got \"{}\"",
                              number);
    pattern.density = density;
    return pattern;
  }
  const auto nm = NmPattern::parse(text);
  if (!nm.ok())
    return invalid_argument("--pattern: expected N:M, unstructured:DENSITY, spense:FRACTION or dense: {}",
                            nm.status().message());
  pattern.nm = *nm;
  return pattern;
}

void keep_nm(NmPattern nm, std::minstd_rand& random, std::span<float> values) {
  for (size_t first = 0; first < values.size(); first += static_cast<size_t>(nm.group)) {
    const auto group = values.subspan(first, std::min<size_t>(nm.group, values.size() - first));
    auto to_drop = static_cast<int64_t>(group.size()) - nm.kept_in(static_cast<int64_t>(group.size()));
    for (size_t i = 0; i < group.size(); ++i) {  // drops each with the chance that gives the right number in the end
      if (static_cast<int64_t>(random() % (group.size() - i)) >= to_drop) continue;
      group[i] = 0.0f;
      --to_drop;
    }
  }
}

}  // namespace

Result<std::vector<BenchPattern>> BenchPattern::parse_list(std::string_view text) {
  std::vector<BenchPattern> patterns;
  for (const std::string_view entry : split_at_commas(text)) {
    ESPARSE_ASSIGN_OR_RETURN(BenchPattern pattern, parse_one(entry));
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

SpenseLayout BenchPattern::layout(int64_t out_features, int64_t in_features) const {
  const bool rows = out_features > in_features;
  return {rows ? SpenseSplit::out : SpenseSplit::in, *nm,
          spense_dense_count(rows ? out_features : in_features, *dense_fraction)};
}

void apply_pattern(const BenchPattern& pattern, int64_t rows, int64_t row, std::span<float> values) {
  std::minstd_rand random(static_cast<uint32_t>(row % 2147483646 + 1));
  if (pattern.dense_fraction) {
    const auto columns = static_cast<int64_t>(values.size());
    const SpenseLayout layout = pattern.layout(rows, columns);
    if (layout.split == SpenseSplit::out && row >= rows - layout.dense) return;
    if (layout.split == SpenseSplit::in) values = values.first(static_cast<size_t>(columns - layout.dense));
  }
  if (pattern.nm) keep_nm(*pattern.nm, random, values);
  if (!pattern.density) return;
  const auto limit = static_cast<uint32_t>(*pattern.density * static_cast<double>(std::minstd_rand::max()));
  for (float& value : values)
    if (random() > limit) value = 0.0f;
}

}  // namespace esparse
