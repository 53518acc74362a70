#include "cli/model_report.h"

#include <algorithm>

#include "base/byte_size.h"
#include "io/checkpoint.h"
#include "model/model.h"
#include "prune/prune_run.h"
#include "report/table.h"
#include "sparse/inventory.h"
#include "sparse/pattern.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 1 : static_cast<double>(part) / static_cast<double>(whole);
}

void add_size_tiles(const Inventory& inventory, Report& report) {
  int64_t dense = 0, now = 0;
  for (const InventoryEntry& entry : inventory.entries)
    if (entry.packed) dense += entry.bytes_dense, now += entry.bytes_now;
  report.tiles.emplace_back("of all weights dense", format_bytes(inventory.bytes_dense));
  report.tiles.emplace_back("of all weights now", format_bytes(inventory.bytes_now));
  if (dense > 0) report.tiles.emplace_back("pruned linears, of dense", percent(ratio(now, dense)));
  report.tiles.emplace_back("density of all weights", percent(ratio(inventory.nonzero, inventory.elements)));
}

void add_quality_tiles(Report& report) {
  double retained = 0, error = 0;
  int pruned = 0, measured = 0;
  for (const PrunedLinear& linear : report.linears) {
    if (linear.pattern == "dense") continue;
    retained += linear.retained, ++pruned;
    if (linear.output_error >= 0) error += linear.output_error, ++measured;
  }
  if (pruned > 0) report.tiles.emplace_back("of the saliency kept", percent(retained / pruned));
  if (measured > 0) report.tiles.emplace_back("output error, mean", percent(error / measured));
}

// Scalars of a JSON object as they stand.
void add_conditions(const Json& object, const std::string& before, NamedTexts& conditions) {
  if (!object.is_object()) return;
  for (const auto& [key, value] : object.items()) {
    if (value.is_object() || value.is_array()) continue;
    conditions.emplace_back(before + key, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

Status add_esparse_json(const fs::path& file, Report& report) {
  ESPARSE_ASSIGN_OR_RETURN(const Json json, read_json(file));
  ESPARSE_ASSIGN_OR_RETURN(report.linears, parse_pruned_linears(json, file.string()));
  const JsonFields fields(json, file.string());
  add_conditions(fields.raw("recipe"), "", report.conditions);
  add_conditions(fields.raw("calibration"), "calibration ", report.conditions);
  if (fields.raw("recipe").is_object() && fields.raw("recipe").contains("name"))
    report.title += ", pruned by " + JsonFields(fields.raw("recipe"), file.string()).string("name", "?").value();
  return {};
}

// The M of "2:4 BF16"; 0 for other formats.
int64_t group_of(const std::string& format) {
  const auto pattern = NmPattern::parse(format.substr(0, format.find(' ')));
  return pattern.ok() ? pattern->group : 0;
}

// A packed linear in the middle of the model, looked at through its weights alone.
Status add_weight_figures(Checkpoint checkpoint, const Inventory& inventory, Report& report) {
  std::vector<const InventoryEntry*> packed;
  for (const InventoryEntry& entry : inventory.entries)
    if (entry.packed) packed.push_back(&entry);
  if (packed.empty()) {
    report.notes.emplace_back("Masks: the model has no packed linear.");
    return {};
  }
  const InventoryEntry& chosen = *packed[packed.size() / 2];
  ESPARSE_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::load(std::move(checkpoint)));
  for (const DecoderBlock& block : model->blocks())
    for (const InputSite site : kInputSites)
      for (const LinearLayer* linear : block.linears_at(site))
        if (linear->name() + ".weight" == chosen.name)
          report.figures = figures_of_weights(*linear, chosen.format, group_of(chosen.format));
  report.notes.emplace_back(
      "Channels, histograms and the saliency before the shuffle: nobody kept them beside this model; 'esparse prune' "
      "does.");
  return {};
}

}  // namespace

Result<Report> report_of_model(const fs::path& model, const std::map<std::string, double>* seconds) {
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(model));
  ESPARSE_ASSIGN_OR_RETURN(const Inventory inventory, take_inventory(checkpoint.tensors));
  const fs::path directory = checkpoint.directory;
  Report report;
  const fs::path named = fs::absolute(model).lexically_normal();
  report.title = (named.has_filename() ? named : named.parent_path()).filename().string();
  report.lead = fmt::format("{} weights in {} tensors.", format_count(inventory.elements), inventory.entries.size());
  report.linears_of = report.title;
  if (fs::exists(directory / "esparse.json")) {
    ESPARSE_RETURN_IF_ERROR(add_esparse_json(directory / "esparse.json", report));
  } else {
    report.notes.emplace_back("Linear by linear: there is no esparse.json beside the weights.");
  }
  if (seconds != nullptr)
    for (PrunedLinear& linear : report.linears)
      if (const auto found = seconds->find(linear.name); found != seconds->end()) linear.seconds = found->second;
  add_size_tiles(inventory, report);
  add_quality_tiles(report);
  if (fs::exists(directory / kFiguresFile)) {
    const std::string label = (directory / kFiguresFile).string();
    ESPARSE_ASSIGN_OR_RETURN(const Json json, read_json(directory / kFiguresFile));
    ESPARSE_ASSIGN_OR_RETURN(report.figures, LayerFigures::parse(json, label));
  } else {
    ESPARSE_RETURN_IF_ERROR(add_weight_figures(std::move(checkpoint), inventory, report));
  }
  const bool timed = std::ranges::any_of(report.linears, [](const PrunedLinear& l) { return l.seconds >= 0; });
  if (!report.linears.empty() && !timed)
    report.notes.emplace_back(
        "Time: it is not kept in the model (the same input gives the same bytes); 'esparse prune --html' shows it.");
  return report;
}

}  // namespace esparse
