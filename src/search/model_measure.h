// Prunes a whole model by a recipe and measures what came out.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/status.h"
#include "model/model.h"
#include "prune/prune_run.h"
#include "prune/recipe.h"
#include "search/held_out.h"
#include "search/search_state.h"

namespace esparse {

using OpenModel = std::function<Result<std::unique_ptr<Model>>()>;

// Into `directory`, which an interrupted run may have begun; the pruned model stays there. `with_speed`: both models
// then decode in turns. MeasuredModel::options stays empty.
Result<MeasuredModel> prune_and_measure(const OpenModel& open_dense, const Recipe& recipe, const PruneRunInputs& inputs,
                                        const HeldOut& held_out, const std::filesystem::path& directory,
                                        bool with_speed);
// The same of a model that is there already.
Result<MeasuredModel> measure_model(const OpenModel& open_dense, const HeldOut& held_out,
                                    const std::filesystem::path& directory, bool with_speed);

int64_t tensor_bytes(const TensorStore& store);  // all tensors

}  // namespace esparse
