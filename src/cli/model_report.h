// What a model directory tells about itself, as the page of report/report.h.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/status.h"
#include "report/report.h"

namespace esparse {

// From the weights, esparse.json and the figures beside it, as far as they are there. Refuses files of these names that
// are damaged. `seconds`: of the linears by name, where somebody has taken their times; else null or empty.
Result<Report> report_of_model(const std::filesystem::path& model, const std::map<std::string, double>* seconds);

}  // namespace esparse
