#include "report/page_sections.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "report/plots.h"
#include "report/svg.h"
#include "report/table.h"

namespace esparse {
namespace {

std::string figure(const std::string& svg, const std::string& heading, const std::string& caption, bool wide = false) {
  if (svg.empty()) return "";
  return fmt::format(
      "<div class=\"card\"><figure><h3>{}</h3><div class=\"plot{}\">{}</div><figcaption>{}</figcaption></figure></div>",
      escape_html(heading), wide ? " wide" : "", svg, caption);
}

std::string cell(const std::string& text, const char* css = "") {
  return *css == '\0' ? "<td>" + escape_html(text) + "</td>"
                      : fmt::format("<td class=\"{}\">{}</td>", css, escape_html(text));
}

std::string row_of(const ComparedModel& model, bool published) {
  const auto speed = [](double value) {
    return value <= 0 ? cell("-") : cell(fmt::format("{:.2f}x", value), value < 0.995 ? "slow" : "");
  };
  std::string row = cell(model.name) + cell(fmt::format("{:.2f}", model.text.perplexity.mean)) +
                    cell(model.is_dense() ? ""
                                          : fmt::format("{:+.4f} \xc2\xb1 {:.4f}", model.text.nats_more.mean,
                                                        model.text.nats_more.standard_error)) +
                    cell(model.is_dense() ? "" : fmt::format("{:.4f}", model.text.kl.mean)) +
                    cell(model.is_dense() ? "" : fmt::format("{:.1f} %", 100 * model.text.same_top)) +
                    cell(format_count(model.speed.linear_bytes)) + cell(format_count(model.speed.weight_bytes)) +
                    speed(model.speed.prefill_speedup) + speed(model.speed.decode_speedup);
  for (const ComparedTask& task : model.tasks)
    row += cell(fmt::format("{:.1f} \xc2\xb1 {:.1f} %", 100 * task.value.mean, 100 * task.value.standard_error));
  if (published) row += cell(model.published.empty() ? "-" : model.published);
  return fmt::format("<tr{}>{}</tr>", model.is_dense() ? " class=\"first\"" : "", row);
}

std::string comparison_table(const std::vector<ComparedModel>& models) {
  const bool published = std::ranges::any_of(models, [](const ComparedModel& m) { return !m.published.empty(); });
  std::string head;
  for (const char* name : {"model", "perplexity", "nats/token more than dense", "KL, nats", "same top token",
                           "linears, B", "all weights, B", "prefill", "decode"})
    head += fmt::format("<th>{}</th>", name);
  for (const ComparedTask& task : models.front().tasks)
    head += fmt::format("<th>{} {}</th>", escape_html(task.name), task.figure);
  if (published) head += "<th>published perplexity</th>";
  std::string rows;
  for (const ComparedModel& model : models) rows += row_of(model, published);
  return fmt::format("<div class=\"card wide\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>", head,
                     rows);
}

// "model.layers.3.mlp.down_proj" -> "3" and "down_proj".
std::pair<std::string, std::string> split_name(const std::string& name) {
  const size_t last = name.rfind('.');
  const size_t layers = name.find("layers.");
  if (layers == std::string::npos || last == std::string::npos) return {"", name};
  const size_t start = layers + 7;
  return {name.substr(start, name.find('.', start) - start), name.substr(last + 1)};
}

// Colours by the linear's place in its block, the same in every block.
std::vector<std::string> kinds_of(const std::vector<PrunedLinear>& linears) {
  std::vector<std::string> kinds;
  for (const PrunedLinear& linear : linears) {
    const std::string kind = split_name(linear.name).second;
    if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
  }
  return kinds;
}

template <typename Value, typename Other>
std::vector<Bar> bars_of(const std::vector<PrunedLinear>& linears, Value&& value, Other&& other) {
  const std::vector<std::string> kinds = kinds_of(linears);
  std::vector<Bar> bars;
  for (const PrunedLinear& linear : linears) {
    const auto [block, kind] = split_name(linear.name);
    const auto colour = static_cast<int>(std::ranges::find(kinds, kind) - kinds.begin());
    bars.push_back({linear.name, block, value(linear), other(linear), colour});
  }
  return bars;
}

std::string legend(const std::vector<PrunedLinear>& linears) {
  std::string entries;
  const std::vector<std::string> kinds = kinds_of(linears);
  for (size_t i = 0; i < kinds.size(); ++i)
    entries += fmt::format("<span><i style=\"background:var(--c{})\"></i>{}</span>", i % 7, escape_html(kinds[i]));
  return "<div class=\"legend\">" + entries + "</div>";
}

std::vector<PlotPoint> points_of(const std::vector<ComparedModel>& models, double (*x)(const ComparedModel&)) {
  std::vector<PlotPoint> points;
  for (const ComparedModel& model : models)
    points.push_back({model.name, x(model), model.text.perplexity.mean, model.is_dense()});
  return points;
}

}  // namespace

std::string page_header(const Report& report) {
  return fmt::format(
      "<header><h1>{}</h1><a class=\"button\" id=\"download\" download=\"esparse-report.json\" href=\"#\">Download the "
      "data "
      "(JSON)</a></header><p class=\"lead\">{}</p>",
      escape_html(report.title), escape_html(report.lead));
}

std::string summary_section(const Report& report) {
  std::string tiles;
  for (const auto& [name, text] : report.tiles)
    tiles += fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>", escape_html(text), escape_html(name));
  std::string html = tiles.empty() ? "" : "<div class=\"tiles\">" + tiles + "</div>";
  if (!report.models.empty())
    html +=
        "<h2>Side by side</h2><p class=\"soft\">By accuracy, the best first. \xe2\x80\x9cMore than dense\xe2\x80\x9d "
        "compares token by token, so "
        "its error is small. Speeds are against the dense model, the two taking turns; a value below 1 is slower.</p>" +
        comparison_table(report.models);
  return html;
}

std::string trade_off_section(const Report& report) {
  if (report.models.size() < 2) return "";
  PlotAxes size{.title = "Perplexity against bytes of the pruned linears",
                .x = "bytes of the linears",
                .y = "perplexity (lower is better)"};
  PlotAxes speed{.title = "Perplexity against speed of writing",
                 .x = "tokens written, times as fast as dense",
                 .y = "perplexity (lower is better)",
                 .lower_is_better_x = false};
  const auto points =
      points_of(report.models, [](const ComparedModel& m) { return static_cast<double>(m.speed.linear_bytes); });
  const auto [best, worst] = std::ranges::minmax(points, {}, &PlotPoint::y);
  size.log_y = speed.log_y = worst.y > 4 * best.y;  // one bad model must not press the others together
  std::string html =
      "<h2>What it costs, what it saves</h2><p class=\"soft\">The dashed line joins the models that no other beats "
      "in both directions (Pareto front); the open circle is the dense model.</p><div class=\"pair\">" +
      figure(front_plot(size, points), "Accuracy against size", "Further down and further left is better.");
  const bool timed =
      std::ranges::all_of(report.models, [](const ComparedModel& m) { return m.speed.decode_speedup > 0; });
  if (timed)
    html += figure(
        front_plot(speed, points_of(report.models, [](const ComparedModel& m) { return m.speed.decode_speedup; })),
        "Accuracy against speed",
        "Further down and further right is better. Measured on this machine; a model that fits "
        "into the processor's cache gains little from reading fewer bytes.");
  return html + "</div>";
}

std::string layers_section(const Report& report) {
  if (report.linears.empty()) return "";
  const auto none = [](const PrunedLinear&) { return -1.0; };
  std::string html =
      fmt::format("<h2>Linear by linear: {}</h2>", escape_html(report.linears_of)) + legend(report.linears);
  const PlotAxes retained{.title = "Retained saliency of every linear", .x = "block", .y = "share kept"};
  html +=
      figure(bar_plot(retained, bars_of(
                                    report.linears, [](const PrunedLinear& l) { return l.retained; }, none)),
             "Retained saliency",
             "The share of what the weights are worth, by the recipe\xe2\x80\x99s own measure, that survived.", true);
  const bool measured = std::ranges::any_of(report.linears, [](const PrunedLinear& l) { return l.output_error >= 0; });
  if (measured) {
    const PlotAxes error{.title = "Relative output error of every linear", .x = "block", .y = "relative squared error"};
    html += figure(
        bar_plot(error, bars_of(
                            report.linears, [](const PrunedLinear& l) { return std::max(l.output_error, 0.0); },
                            [](const PrunedLinear& l) { return l.magnitude_error; })),
        "Output error",
        "How far the linear\xe2\x80\x99s outputs on calibration inputs are from what they should be. The line across "
        "a bar is what pruning by magnitude alone would give.",
        true);
  }
  const bool timed = std::ranges::all_of(report.linears, [](const PrunedLinear& l) { return l.seconds >= 0; });
  if (timed) {
    const PlotAxes time{.title = "Time to prune every linear", .x = "block", .y = "seconds"};
    html += figure(bar_plot(time, bars_of(
                                      report.linears, [](const PrunedLinear& l) { return l.seconds; }, none)),
                   "Time", "Gathering the inputs of a site and solving it, shared equally among its linears.", true);
  }
  return html;
}

std::string linear_section(const Report& report) {
  if (!report.figures) return "";
  const LayerFigures& f = *report.figures;
  std::string html = fmt::format(
      "<h2>Inside one linear: {}</h2><p class=\"soft\">{} outputs, {} inputs (channels), pruned to {} by {}, shuffle "
      "{}.</p>",
      escape_html(f.linear), f.out_features, f.in_features, escape_html(f.pattern), escape_html(f.saliency),
      escape_html(f.shuffle));
  if (!f.channels.empty()) {
    html +=
        "<p>Inputs differ from channel to channel. A channel with large values (norm) makes its weights matter, and so "
        "does "
        "one whose values are spread out (entropy): a channel that is almost always the same number tells the next "
        "layer "
        "little, however large it is. Wanda looks at the norm alone, E-Sparse at both.</p><div class=\"pair\">";
    html += figure(channel_plot(f), "Channels: norm and entropy",
                   f.entropy_of_sample ? "Entropy of a sample of 256 tokens: this recipe does not gather it."
                                       : "Over all calibration tokens.");
    std::string histograms;
    for (size_t i = 0; i < f.histograms.size(); ++i) {
      const ActivationHistogram& h = f.histograms[i];
      const std::string name =
          fmt::format("{} channel: {}, {:.2f} nats", i == 0 ? "Richest" : "Poorest", h.channel, h.entropy);
      histograms += fmt::format("<h3>{}</h3><div class=\"plot\">{}</div>", escape_html(name),
                                histogram_plot(h, name, i == 0 ? 4 : 3));
    }
    html += "<div class=\"card\"><figure>" + histograms +
            "<figcaption>How often its inputs took which value, over a sample of 256 "
            "tokens. Many values in use: rich. Nearly always the same bin: poor.</figcaption></figure></div></div>";
  }
  const std::string piece =
      fmt::format("{} of {} rows, the first {} positions; the lines part groups of {}. ", f.rows.size(), f.out_features,
                  f.after.channels.size(), std::max<int64_t>(f.group, 1));
  if (f.before) {
    html += fmt::format(
        "<p>An N:M pattern keeps the same number of weights in every group of neighbours. Where strong channels stand "
        "side by "
        "side, some must go although weaker ones elsewhere stay. The shuffle deals strong channels out to the groups: "
        "of this linear\xe2\x80\x99s saliency {:.2f} % survive instead of {:.2f} %.</p>",
        100 * f.retained, 100 * f.retained_before);
    html += figure(saliency_plot(*f.before, f.group, "Saliency before the shuffle"), "Saliency before the shuffle",
                   piece + "Blue stays, orange goes; the stronger the colour, the more the weight is worth.", true);
  }
  html += figure(saliency_plot(f.after, f.group, "Saliency after the shuffle"),
                 f.before ? "Saliency after the shuffle" : "Saliency",
                 piece + "Blue is what survived in the final weights, orange what went.", true);
  html += "<div class=\"pair\">";
  if (f.before)
    html += figure(group_plot(f), "What each group gets",
                   "Mean saliency of the groups. Flat means that no group has to give away more "
                   "than another; steep means that some groups are full of strong channels.");
  html += figure(mask_plot(f.after, f.group, "The mask"), "The mask", piece + "Filled: the weight is kept.", true) +
          "</div>";
  return html;
}

std::string conditions_section(const Report& report) {
  std::string html;
  if (!report.conditions.empty()) {
    html += "<h2>How it was made and measured</h2><div class=\"card\"><dl>";
    for (const auto& [name, text] : report.conditions)
      html += fmt::format("<dt>{}</dt><dd>{}</dd>", escape_html(name), escape_html(text));
    html += "</dl></div>";
  }
  if (report.notes.empty()) return html;
  html += "<h2>Not on this page</h2><ul>";
  for (const std::string& note : report.notes) html += "<li>" + escape_html(note) + "</li>";
  return html + "</ul>";
}

}  // namespace esparse
