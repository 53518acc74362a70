// Which kernel runs which linear of a model on a GPU, as `inspect --plan --device cuda` shows it.
#pragma once

#include <span>
#include <string>

#include "gpu/plan_measurement.h"
#include "io/json.h"

namespace esparse {

// One row for each kind of linear, one column for each bucket of token counts: the path, and how many times as fast as
// the library on a dense weight it was measured to be.
std::string gpu_plan_text(const cuda::DeviceInfo& gpu, std::span<const DevicePlanRow> rows);
// {"machine": {...}, "linears": [{count, form, out_features, in_features, paths: [{tokens, path, speedup, seconds:
// {path: seconds}}]}]}; nothing measured, no entry.
Json gpu_plan_json(const cuda::DeviceInfo& gpu, std::span<const DevicePlanRow> rows);

}  // namespace esparse
