#include "search/search_state.h"

#include <algorithm>

#include "io/files.h"
#include "io/json.h"

namespace esparse {
namespace {

Json sensitivity_json(const Sensitivity& value) {
  return {{"kl", value.kl}, {"nll_rise", value.nll_rise}, {"output_error", value.output_error}};
}

Result<Sensitivity> parse_sensitivity(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  Sensitivity value;
  ESPARSE_ASSIGN_OR_RETURN(value.kl, fields.number("kl"));
  ESPARSE_ASSIGN_OR_RETURN(value.nll_rise, fields.number("nll_rise"));
  ESPARSE_ASSIGN_OR_RETURN(value.output_error, fields.number("output_error"));
  return value;
}

Json model_json(const MeasuredModel& model) {
  Json json = {{"options", model.options},
               {"kl", model.divergence.kl},
               {"nll", model.divergence.nll},
               {"nll_rise", model.divergence.nll_rise},
               {"bytes", model.bytes}};
  if (model.speedup) json["speedup"] = *model.speedup;
  return json;
}

Result<MeasuredModel> parse_model(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  MeasuredModel model;
  for (const Json& option : fields.raw("options")) {
    if (!option.is_string()) return corruption("{}: options: expected texts", label);
    model.options.push_back(option.get<std::string>());
  }
  ESPARSE_ASSIGN_OR_RETURN(model.divergence.kl, fields.number("kl"));
  ESPARSE_ASSIGN_OR_RETURN(model.divergence.nll, fields.number("nll"));
  ESPARSE_ASSIGN_OR_RETURN(model.divergence.nll_rise, fields.number("nll_rise"));
  ESPARSE_ASSIGN_OR_RETURN(model.bytes, fields.integer("bytes"));
  if (fields.has("speedup")) {
    ESPARSE_ASSIGN_OR_RETURN(model.speedup, fields.number("speedup"));
  }
  return model;
}

}  // namespace

const MeasuredModel* SearchState::find(const std::vector<std::string>& options) const {
  const auto found = std::ranges::find(measured, options, &MeasuredModel::options);
  return found == measured.end() ? nullptr : &*found;
}

Status write_search_state(const std::filesystem::path& path, uint64_t fingerprint, const SearchState& state) {
  Json sensitivities = Json::array(), measured = Json::array();
  for (const BlockSensitivities& block : state.sensitivities) {
    Json& entry = sensitivities.emplace_back(Json::object());
    for (const auto& [trial, value] : block) entry[trial] = sensitivity_json(value);
  }
  for (const MeasuredModel& model : state.measured) measured.push_back(model_json(model));
  const Json json = {{"fingerprint", fingerprint}, {"sensitivities", sensitivities}, {"measured", measured}};
  return write_file_atomically(path, json.dump(1) + "\n");
}

Result<SearchState> read_search_state(const std::filesystem::path& path, uint64_t fingerprint) {
  SearchState state;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return state;
  const std::string label = path.string();
  ESPARSE_ASSIGN_OR_RETURN(const Json json, read_json(path));
  const JsonFields fields(json, label);
  if (fields.raw("fingerprint") != Json(fingerprint))
    return invalid_argument("{}: the interrupted search had another model, recipe or text; repeat its command line",
                            label);
  if (!fields.raw("sensitivities").is_array() || !fields.raw("measured").is_array())
    return corruption("{}: expected lists of sensitivities and of measured models", label);
  for (const Json& block : fields.raw("sensitivities")) {
    BlockSensitivities& known = state.sensitivities.emplace_back();
    if (!block.is_object()) return corruption("{}: sensitivities: expected objects", label);
    for (const auto& [trial, value] : block.items()) {
      ESPARSE_ASSIGN_OR_RETURN(known[trial], parse_sensitivity(value, label));
    }
  }
  for (const Json& model : fields.raw("measured")) {
    ESPARSE_ASSIGN_OR_RETURN(MeasuredModel parsed, parse_model(model, label));
    state.measured.push_back(std::move(parsed));
  }
  return state;
}

}  // namespace esparse
