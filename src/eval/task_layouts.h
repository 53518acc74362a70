// One line of a task file as the item that the model is asked. docs/evaluation.md describes fields and prompts.
#pragma once

#include <string_view>

#include "base/status.h"
#include "eval/tasks.h"
#include "io/json.h"

namespace esparse {

// Fields `query`, `choices`, `gold`: the query without white space at its end, and `ending`. Errors of this and all
// below name the line and the field.
Result<TaskItem> query_item(const JsonFields& fields, std::string_view ending);

// The fields of the data sets that the evaluation harness reads, put into words as it does. WinoGrande and LAMBADA also
// as `context_options`, `continuation`, `gold` and `context`, `continuation`.
Result<TaskItem> hellaswag_item(const JsonFields& fields);
Result<TaskItem> openbookqa_item(const JsonFields& fields);
Result<TaskItem> piqa_item(const JsonFields& fields);
Result<TaskItem> sciq_item(const JsonFields& fields);
Result<TaskItem> logiqa_item(const JsonFields& fields);
Result<TaskItem> arc_item(const JsonFields& fields);
Result<TaskItem> boolq_item(const JsonFields& fields);
Result<TaskItem> winogrande_item(const JsonFields& fields);
Result<TaskItem> lambada_item(const JsonFields& fields);

}  // namespace esparse
