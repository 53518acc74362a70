// One page that shows what pruning did: a single HTML file that needs no network and nothing beside it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "prune/layer_figures.h"
#include "prune/prune_model.h"
#include "report/comparison.h"

namespace esparse {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;  // name, text

struct Report {
  std::string title;                  // "novel-1m, pruned by best"
  std::string lead;                   // one or two sentences below it
  NamedTexts tiles;                   // what it is, and a figure to be read first
  std::vector<ComparedModel> models;  // none: no comparison
  std::string linears_of;             // the model that the rest of the page is about
  std::vector<PrunedLinear> linears;
  std::optional<LayerFigures> figures;
  NamedTexts conditions;           // under which all this was measured
  std::vector<std::string> notes;  // what is missing, and why
};

// Plots are inline SVG; the numbers behind them are in the page too, as JSON that a link saves. Light and dark as the
// reader's system is.
std::string report_html(const Report& report);

// The linears of an esparse.json; the seconds are not in it.
Result<std::vector<PrunedLinear>> parse_pruned_linears(const Json& esparse_json, const std::string& label);

}  // namespace esparse
