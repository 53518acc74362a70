// Which kernel runs which linear of a model for how many tokens, as `inspect --plan` shows it.
#pragma once

#include <string>

#include "io/json.h"
#include "model/model.h"
#include "runtime/plan_search.h"

namespace esparse {

// "1", "2-4", "65+": the token counts of one of kTokenBuckets.
std::string bucket_name(size_t bucket);

// One row for each kind of linear, one column for each bucket of token counts: the path that the model takes, and how
// many times as fast as the best dense path it was measured to be.
std::string plan_text(const Model& model, const PlanTable& table);
// {"machine": {isa, threads}, "linears": [{names, form, dtype, out_features, in_features, paths: [{tokens, path,
// speedup, dense_path}]}]}; no speedup where nothing was measured or the weight is dense.
Json plan_json(const Model& model, const PlanTable& table);

}  // namespace esparse
