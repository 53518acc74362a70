#include "text/post_processors.h"

#include "text/bpe_model.h"
#include "text/text_pattern.h"

namespace esparse {
namespace {

// The ids of one special token of a template.
Result<std::vector<int32_t>> special_ids(const JsonFields& fields, const std::string& name) {
  const Json& table = fields.raw("special_tokens");
  const auto entry = table.is_object() ? table.find(name) : table.end();
  if (!table.is_object() || entry == table.end()) {
    return corruption("{}: special token \"{}\" is not in special_tokens", fields.label(), name);
  }
  const JsonFields token(*entry, fmt::format("{}.special_tokens[\"{}\"]", fields.label(), name));
  ESPARSE_ASSIGN_OR_RETURN(const Json* list, required_array(token, "ids"));
  std::vector<int32_t> ids;
  for (const Json& id : *list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > kMaxTokenId) {
      return corruption("{}: expected ids from 0 to {}", token.label(), kMaxTokenId);
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// `single` is a list of {"SpecialToken": ...} with one {"Sequence": {"id": "A"}} among them.
Status apply_template(const JsonFields& fields, SpecialFrame& frame) {
  ESPARSE_ASSIGN_OR_RETURN(const Json* pieces, required_array(fields, "single"));
  SpecialFrame own;
  bool text_seen = false;
  for (size_t i = 0; i < pieces->size(); ++i) {
    const std::string label = fmt::format("{}.single[{}]", fields.label(), i);
    const JsonFields piece((*pieces)[i], label);
    if (piece.has("Sequence")) {
      ESPARSE_ASSIGN_OR_RETURN(const std::string id, JsonFields(piece.raw("Sequence"), label).string("id"));
      if (id != "A" || text_seen) return unsupported("{}: expected one sequence, \"A\", got \"{}\"", label, id);
      text_seen = true;
      continue;
    }
    ESPARSE_ASSIGN_OR_RETURN(const std::string name, JsonFields(piece.raw("SpecialToken"), label).string("id"));
    ESPARSE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, special_ids(fields, name));
    std::vector<int32_t>& side = text_seen ? own.after : own.before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!text_seen) return unsupported("{}.single: the text itself is not in the template", fields.label());
  frame.before.insert(frame.before.begin(), own.before.begin(), own.before.end());
  frame.after.insert(frame.after.end(), own.after.begin(), own.after.end());
  return {};
}

// Each processor of a Sequence works on what the one before it made, so frames grow outwards.
Status apply_processor(const Json& component, const std::string& label, SpecialFrame& frame) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string type, component_type(component, label));
  const JsonFields fields(component, label);
  if (type == "ByteLevel") return {};  // changes offsets only
  if (type == "TemplateProcessing") return apply_template(fields, frame);
  if (type != "Sequence") return unknown_component(label, type);
  ESPARSE_ASSIGN_OR_RETURN(const Json* list, required_array(fields, "processors"));
  for (size_t i = 0; i < list->size(); ++i) {
    ESPARSE_RETURN_IF_ERROR(apply_processor((*list)[i], fmt::format("{}.processors[{}]", label, i), frame));
  }
  return {};
}

}  // namespace

Result<SpecialFrame> parse_post_processor(const Json& component, const std::string& label) {
  SpecialFrame frame;
  if (!component.is_null()) ESPARSE_RETURN_IF_ERROR(apply_processor(component, label, frame));
  return frame;
}

}  // namespace esparse
