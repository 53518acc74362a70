#include "report/report.h"

#include <algorithm>

#include "report/page_sections.h"
#include "report/page_style.h"
#include "report/svg.h"

namespace esparse {
namespace {

// Inside a script element nothing may look like its end or like a comment; '<' stands in strings alone.
std::string script_text(const Json& json) {
  std::string text;
  for (char c : json.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  }
  return text;
}

Json linears_json(const std::vector<PrunedLinear>& linears) {
  Json list = Json::array();
  for (const PrunedLinear& linear : linears) {
    Json json = {{"name", linear.name},
                 {"pattern", linear.pattern},
                 {"retained_saliency", linear.retained},
                 {"bytes_dense", linear.bytes_dense},
                 {"bytes", linear.bytes_now}};
    if (linear.output_error >= 0)
      json["output_error"] = linear.output_error, json["magnitude_error"] = linear.magnitude_error;
    if (linear.seconds >= 0) json["seconds"] = linear.seconds;
    list.push_back(std::move(json));
  }
  return list;
}

Json data_of(const Report& report) {
  Json json = {{"title", report.title}, {"models", Json::array()}, {"conditions", Json::object()}};
  for (const ComparedModel& model : report.models) json["models"].push_back(model.to_json());
  for (const auto& [name, text] : report.conditions) json["conditions"][name] = text;
  if (!report.linears.empty()) {
    json["linears_of"] = report.linears_of;
    json["linears"] = linears_json(report.linears);
  }
  if (report.figures) json["figures"] = report.figures->to_json();
  return json;
}

}  // namespace

std::string report_html(const Report& report) {
  std::string body = page_header(report) + summary_section(report) + trade_off_section(report) +
                     layers_section(report) + linear_section(report) + conditions_section(report);
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
         "<link rel=\"icon\" href=\"data:,\"><title>" +
         escape_html(report.title) + "</title><style>" + kPageStyle + "</style></head>\n<body><main>" + body +
         "</main>\n<script type=\"application/json\" id=\"report-data\">" + script_text(data_of(report)) +
         "</script><script>" + kPageScript + "</script></body></html>\n";
}

Result<std::vector<PrunedLinear>> parse_pruned_linears(const Json& esparse_json, const std::string& label) {
  const Json& list = JsonFields(esparse_json, label).raw("linears");
  if (!list.is_array()) return corruption("{}: linears: expected a list", label);
  std::vector<PrunedLinear> linears;
  for (const Json& entry : list) {
    const JsonFields fields(entry, label + ": linears");
    PrunedLinear linear;
    ESPARSE_ASSIGN_OR_RETURN(linear.name, fields.string("name"));
    ESPARSE_ASSIGN_OR_RETURN(linear.pattern, fields.string("pattern"));
    ESPARSE_ASSIGN_OR_RETURN(linear.retained, fields.number("retained_saliency"));
    ESPARSE_ASSIGN_OR_RETURN(linear.bytes_dense, fields.integer("bytes_dense"));
    ESPARSE_ASSIGN_OR_RETURN(linear.bytes_now, fields.integer("bytes"));
    ESPARSE_ASSIGN_OR_RETURN(linear.output_error, fields.number("output_error", -1));
    ESPARSE_ASSIGN_OR_RETURN(linear.magnitude_error, fields.number("magnitude_error", -1));
    linears.push_back(std::move(linear));
  }
  return linears;
}

}  // namespace esparse
