// Finds by measuring which path (kernels/linear_plan.h) is fastest for each kind of weight of a model and number of
// tokens, on this machine. E-Sparse's algorithm search.
#pragma once

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "kernels/linear_plan.h"
#include "model/model.h"

namespace esparse {

// Weights that agree in this share their choices.
struct WeightKind {
  std::string form;  // weight_form()
  DType dtype = DType::f32;
  int64_t out_features = 0, in_features = 0;
  bool operator==(const WeightKind&) const = default;
};
WeightKind kind_of(const LinearLayer& layer);

// The fastest path for one bucket of token counts, and the fastest of a dense weight of the same type and shape.
struct PlanChoice {
  LinearPath path = LinearPath::few;
  double seconds = 0;  // of the tokens and rows that were measured; 0 where there was nothing to choose
  LinearPath dense_path = LinearPath::few;
  double dense_seconds = 0;  // 0 where the weight is dense itself

  bool has_ratio() const { return seconds > 0 && dense_seconds > 0; }
  double ratio() const { return dense_seconds / seconds; }  // below 1: dense would be faster
  bool operator==(const PlanChoice&) const = default;
};

struct KindPlan {
  WeightKind kind;
  std::array<std::optional<PlanChoice>, kTokenBuckets.size()> choices;  // by token_bucket(); nothing: not measured
};
using PlanTable = std::vector<KindPlan>;
const KindPlan* find_plan(const PlanTable& table, const WeightKind& kind);

struct PlanSearchOptions {
  double budget_seconds = 20;  // about; what is not measured by then stays as it was
  int repetitions = 5;
  // Smaller weights keep default_plan(): they take microseconds, whatever the path.
  int64_t min_elements = int64_t{1} << 18;
};

// The linears of all decoder blocks.
std::vector<const LinearLayer*> block_linears(const Model& model);

// What search_plans() would measure.
int64_t missing_choices(const Model& model, const PlanTable& table, const PlanSearchOptions& options);

// Adds to `table` what it lacks for the model: one token first, then prompts, then the sizes between. Weights are as
// cold as the layers of the model make them that share a kind; products of many tokens are measured on some of their
// rows. Only possible_paths() are tried, and default_plan() is left only for what is clearly faster. Holds about
// cold_bytes() meanwhile.
void search_plans(const Model& model, const PlanSearchOptions& options, PlanTable& table);

// Sets the plan of every linear of which the table knows something; a path that is not possible is passed over.
void apply_plans(const PlanTable& table, Model& model);

}  // namespace esparse
