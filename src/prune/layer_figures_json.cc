// LayerFigures as JSON and back. The file lies beside a model, so it may come from a stranger.
#include <algorithm>

#include "prune/layer_figures.h"

namespace esparse {
namespace {

constexpr size_t kMostNumbers = 1 << 16;  // of any list: far above what the recorder writes

// One character a cell: '0' to '9', 'a' to 'f'.
std::string level_text(const std::vector<int>& levels) {
  std::string text;
  for (int level : levels) text += "0123456789abcdef"[level];
  return text;
}

std::string kept_text(const std::vector<bool>& kept) {
  std::string text;
  for (bool flag : kept) text += flag ? '1' : '0';
  return text;
}

Json piece_json(const SaliencyPiece& piece) {
  Json json = {{"channels", piece.channels}};
  for (const auto& levels : piece.levels) json["saliency"].push_back(level_text(levels));
  for (const auto& kept : piece.kept) json["kept"].push_back(kept_text(kept));
  return json;
}

template <typename T>
Result<std::vector<T>> numbers(const JsonFields& fields, std::string_view key) {
  const Json& list = fields.raw(key);
  if (!list.is_array() || list.size() > kMostNumbers)
    return corruption("{}: {}: expected a list of at most {} numbers", fields.label(), key, kMostNumbers);
  std::vector<T> values;
  for (const Json& entry : list) {
    const bool fits = std::is_integral_v<T> ? entry.is_number_integer() : entry.is_number();
    if (!fits) return corruption("{}: {}: expected numbers", fields.label(), key);
    values.push_back(entry.get<T>());
  }
  return values;
}

// Rows of `columns` characters out of `alphabet`.
Result<std::vector<std::string>> cells(const JsonFields& fields, std::string_view key, size_t rows, size_t columns,
                                       std::string_view alphabet) {
  const Json& list = fields.raw(key);
  std::vector<std::string> texts;
  if (list.is_array())
    for (const Json& entry : list)
      if (entry.is_string()) texts.push_back(entry.get<std::string>());
  const bool fit = list.is_array() && texts.size() == rows && list.size() == rows &&
                   std::ranges::all_of(texts, [&](const std::string& text) {
                     return text.size() == columns && text.find_first_not_of(alphabet) == std::string::npos;
                   });
  if (!fit) return corruption("{}: {}: expected {} rows of {} cells", fields.label(), key, rows, columns);
  return texts;
}

Result<SaliencyPiece> parse_piece(const Json& json, const std::string& label, size_t rows) {
  const JsonFields fields(json, label);
  SaliencyPiece piece;
  ESPARSE_ASSIGN_OR_RETURN(piece.channels, numbers<int64_t>(fields, "channels"));
  const size_t columns = piece.channels.size();
  ESPARSE_ASSIGN_OR_RETURN(const auto levels, cells(fields, "saliency", rows, columns, "0123456789abcdef"));
  ESPARSE_ASSIGN_OR_RETURN(const auto kept, cells(fields, "kept", rows, columns, "01"));
  for (const std::string& row : levels) {
    auto& values = piece.levels.emplace_back();
    for (char c : row) values.push_back(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  for (const std::string& row : kept) {
    auto& flags = piece.kept.emplace_back();
    for (char c : row) flags.push_back(c == '1');
  }
  return piece;
}

Result<std::vector<ChannelFigure>> parse_channels(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  ESPARSE_ASSIGN_OR_RETURN(const auto channels, numbers<int64_t>(fields, "channel"));
  ESPARSE_ASSIGN_OR_RETURN(const auto norms, numbers<double>(fields, "norm"));
  ESPARSE_ASSIGN_OR_RETURN(const auto entropies, numbers<double>(fields, "entropy"));
  if (norms.size() != channels.size() || entropies.size() != channels.size())
    return corruption("{}: expected as many norms and entropies as channels", label);
  // What f32 inputs can have; a logarithmic axis needs an end.
  const auto possible = [](double norm) { return norm == 0 || (norm >= 1e-45 && norm <= 1e39); };
  if (!std::ranges::all_of(norms, possible)) return corruption("{}: norm: expected 0 or 1e-45 to 1e39", label);
  std::vector<ChannelFigure> figures;
  for (size_t i = 0; i < channels.size(); ++i) figures.push_back({channels[i], norms[i], entropies[i]});
  return figures;
}

Result<ActivationHistogram> parse_histogram(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  ActivationHistogram histogram;
  ESPARSE_ASSIGN_OR_RETURN(histogram.channel, fields.integer("channel"));
  ESPARSE_ASSIGN_OR_RETURN(histogram.entropy, fields.number("entropy"));
  ESPARSE_ASSIGN_OR_RETURN(histogram.minimum, fields.number("minimum"));
  ESPARSE_ASSIGN_OR_RETURN(histogram.maximum, fields.number("maximum"));
  ESPARSE_ASSIGN_OR_RETURN(histogram.counts, numbers<int64_t>(fields, "counts"));
  if (histogram.counts.empty()) return corruption("{}: counts: expected at least one", label);
  return histogram;
}

// Five digits: enough for any picture.
Json rounded(const std::vector<double>& values) {
  Json json = Json::array();
  for (double value : values) json.push_back(std::stod(fmt::format("{:.5g}", value)));
  return json;
}

}  // namespace

Json LayerFigures::to_json() const {
  Json json = {{"linear", linear},
               {"pattern", pattern},
               {"saliency", saliency},
               {"shuffle", shuffle},
               {"group", group},
               {"shape", {out_features, in_features}},
               {"entropy_of_sample", entropy_of_sample},
               {"rows", rows},
               {"after", piece_json(after)},
               {"group_means", {{"before", rounded(group_means_before)}, {"after", rounded(group_means_after)}}},
               {"retained_before", retained_before},
               {"retained", retained},
               {"histograms", Json::array()}};
  if (before) json["before"] = piece_json(*before);
  std::vector<int64_t> indices;
  std::vector<double> norms, entropies;
  for (const ChannelFigure& channel : channels) {
    indices.push_back(channel.channel);
    norms.push_back(channel.norm);
    entropies.push_back(channel.entropy);
  }
  json["channels"] = {{"channel", indices}, {"norm", rounded(norms)}, {"entropy", rounded(entropies)}};
  for (const ActivationHistogram& histogram : histograms)
    json["histograms"].push_back({{"channel", histogram.channel},
                                  {"entropy", histogram.entropy},
                                  {"minimum", histogram.minimum},
                                  {"maximum", histogram.maximum},
                                  {"counts", histogram.counts}});
  return json;
}

Result<LayerFigures> LayerFigures::parse(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  LayerFigures figures;
  ESPARSE_ASSIGN_OR_RETURN(figures.linear, fields.string("linear"));
  ESPARSE_ASSIGN_OR_RETURN(figures.pattern, fields.string("pattern"));
  ESPARSE_ASSIGN_OR_RETURN(figures.saliency, fields.string("saliency"));
  ESPARSE_ASSIGN_OR_RETURN(figures.shuffle, fields.string("shuffle"));
  ESPARSE_ASSIGN_OR_RETURN(figures.group, fields.integer("group"));
  ESPARSE_ASSIGN_OR_RETURN(const auto shape, numbers<int64_t>(fields, "shape"));
  if (shape.size() != 2) return corruption("{}: shape: expected two numbers", label);
  figures.out_features = shape[0], figures.in_features = shape[1];
  ESPARSE_ASSIGN_OR_RETURN(figures.entropy_of_sample, fields.boolean("entropy_of_sample", false));
  ESPARSE_ASSIGN_OR_RETURN(figures.rows, numbers<int64_t>(fields, "rows"));
  ESPARSE_ASSIGN_OR_RETURN(figures.after, parse_piece(fields.raw("after"), label + ": after", figures.rows.size()));
  if (fields.has("before")) {
    ESPARSE_ASSIGN_OR_RETURN(figures.before,
                             parse_piece(fields.raw("before"), label + ": before", figures.rows.size()));
  }
  const JsonFields means(fields.raw("group_means"), label + ": group_means");
  ESPARSE_ASSIGN_OR_RETURN(figures.group_means_before, numbers<double>(means, "before"));
  ESPARSE_ASSIGN_OR_RETURN(figures.group_means_after, numbers<double>(means, "after"));
  ESPARSE_ASSIGN_OR_RETURN(figures.retained_before, fields.number("retained_before"));
  ESPARSE_ASSIGN_OR_RETURN(figures.retained, fields.number("retained"));
  ESPARSE_ASSIGN_OR_RETURN(figures.channels, parse_channels(fields.raw("channels"), label + ": channels"));
  if (!fields.raw("histograms").is_array()) return corruption("{}: histograms: expected a list", label);
  for (const Json& entry : fields.raw("histograms")) {
    ESPARSE_ASSIGN_OR_RETURN(ActivationHistogram histogram, parse_histogram(entry, label + ": histograms"));
    figures.histograms.push_back(std::move(histogram));
  }
  return figures;
}

}  // namespace esparse
