// The parts of a report's page, as HTML; each is empty where the report has nothing for it.
#pragma once

#include <string>

#include "report/report.h"

namespace esparse {

std::string page_header(const Report& report);
std::string summary_section(const Report& report);     // tiles, and the table of a comparison
std::string trade_off_section(const Report& report);   // accuracy against size and against speed
std::string layers_section(const Report& report);      // bars, linear by linear
std::string linear_section(const Report& report);      // inside one linear, with what to see there
std::string conditions_section(const Report& report);  // how it was measured, what is missing

}  // namespace esparse
