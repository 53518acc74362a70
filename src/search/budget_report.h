// A budget search for people and for esparse.json.
#pragma once

#include <string>

#include "io/json.h"
#include "search/budget_search.h"

namespace esparse {

// The frontier, uniform models and what was tried, from many bytes to few; then what every block was given.
std::string budget_text(const BudgetResult& result);

// The same as data: no times unless the budget or the objective is one of time, so that the same input gives the same
// bytes.
Json budget_json(const BudgetSearch& search, const BudgetResult& result);

}  // namespace esparse
