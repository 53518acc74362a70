#include "prune/recipe_options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace esparse {
namespace {

// The whole text as a number.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Status bad_value(std::string_view expected, std::string_view got) {
  return invalid_argument("expected {}, got {:?}", expected, got.substr(0, 40));
}

Status set_number(std::string_view text, double least, double most, double& target) {
  const auto value = parse_number<double>(text);
  if (!value || !std::isfinite(*value) || *value < least || *value > most)
    return bad_value(std::isinf(most) ? fmt::format("a number of at least {}", least)
                                      : fmt::format("a number from {} to {}", least, most),
                     text);
  target = *value;
  return {};
}

template <typename T>
Status set_count(std::string_view text, T least, T most, T& target) {
  const auto value = parse_number<T>(text);
  if (!value || *value < least || *value > most)
    return bad_value(fmt::format("a whole number from {} to {}", least, most), text);
  target = *value;
  return {};
}

Status set_switch(std::string_view text, bool& target) {
  if (text != "true" && text != "false") return bad_value("true or false", text);
  target = text == "true";
  return {};
}

// Stores what a parser found.
template <typename T, typename U>
Status take(Result<T> parsed, U& target) {
  if (!parsed.ok()) return parsed.status();
  target = std::move(parsed).value();
  return {};
}

Status set_pattern(LinearRecipe& recipe, std::string_view text) {
  const PruneTarget before = recipe.target;
  ESPARSE_ASSIGN_OR_RETURN(recipe.target, PruneTarget::parse(text));
  recipe.target.scope = before.scope;  // a setting of its own
  const bool says_fraction = SpensePattern::is_meant(text) && SpensePattern::parse(text)->dense_fraction;
  if (!says_fraction) recipe.target.dense_fraction = before.dense_fraction;  // likewise
  return {};
}

// Takes the method; the numbers have settings of their own.
Status set_shuffle(LinearRecipe& recipe, std::string_view text) {
  ESPARSE_ASSIGN_OR_RETURN(const ShuffleOptions parsed, ShuffleOptions::parse(text));
  recipe.shuffle.method = parsed.method;
  return {};
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// The search keeps 8 x block^2 bytes per block: 128 MiB.
constexpr int64_t kMaxShuffleBlock = 4096;
// More pieces than groups and more rows than there are ask for nothing else; these only keep typing errors out.
constexpr int64_t kMaxLsaBlocks = 1 << 20;
constexpr int64_t kMaxShuffleRows = 1 << 30;

using L = LinearRecipe;
using Text = std::string_view;
bool always(const L&) { return true; }
bool reads_norms(const L& r) { return r.saliency->needs.norms; }
bool reads_entropy(const L& r) { return r.saliency->needs.entropy; }
bool solves(const L& r) { return r.needs().gram; }
bool is_spense(const L& r) { return r.is_spense(); }

constexpr std::array kLinearOptions = {
    RecipeOption{"saliency", "What a weight is worth", [](L& r, Text v) { return take(find_saliency(v), r.saliency); },
                 [](const L& r) { return Json(r.saliency->name); }, always},
    RecipeOption{
        "pattern",
        "N:M, N kept of every M inputs of a row (M <= 32); or 50%, removed anywhere; or spense[:FRACTION][:N:M], "
        "N:M beside a dense region; or dense",
        set_pattern, [](const L& r) { return Json(r.target.text()); }, always},
    RecipeOption{"scope", "Unstructured: the weights compared with each other, row or layer",
                 [](L& r, Text v) { return take(parse_sparsity_scope(v), r.target.scope); },
                 [](const L& r) { return Json(sparsity_scope_name(r.target.scope)); },
                 [](const L& r) { return r.target.kind == TargetKind::unstructured; }},
    RecipeOption{"dense_fraction", "Spense: share of the rows or columns that stays dense, such as 0.25 or 1/4",
                 [](L& r, Text v) { return take(parse_fraction(v), r.target.dense_fraction); },
                 [](const L& r) { return Json(r.target.dense_fraction); }, is_spense},
    RecipeOption{"selection", "Spense: what stays dense, by norm, tail (the last), drop, loss or random",
                 [](L& r, Text v) { return take(parse_dense_selection(v), r.spense.selection); },
                 [](const L& r) { return Json(dense_selection_name(r.spense.selection)); }, is_spense},
    RecipeOption{"selection_seed", "Spense, selection random: seed of the draw",
                 [](L& r, Text v) { return set_count<uint64_t>(v, 0, UINT64_MAX, r.spense.seed); },
                 [](const L& r) { return Json(r.spense.seed); },
                 [](const L& r) { return r.is_spense() && r.spense.selection == DenseSelection::random; }},
    RecipeOption{"spense_mode",
                 "Spense: neuron-aligned (rows of gate and up, columns of down) or per-matrix (columns everywhere)",
                 [](L& r, Text v) { return take(parse_spense_mode(v), r.spense.mode); },
                 [](const L& r) { return Json(spense_mode_name(r.spense.mode)); }, is_spense},
    RecipeOption{"shuffle", "Channel shuffle: none, global, local, global+local or lsa", set_shuffle,
                 [](const L& r) { return Json(r.shuffle.text()); }, always},
    RecipeOption{"deal", "Global shuffle: snake or deal",
                 [](L& r, Text v) { return take(parse_deal_style(v), r.shuffle.deal); },
                 [](const L& r) { return Json(r.shuffle.deal == DealStyle::snake ? "snake" : "deal"); },
                 [](const L& r) { return r.shuffle.deals(); }},
    RecipeOption{"shuffle_block", "Local shuffle: channels searched together",
                 [](L& r, Text v) { return set_count<int64_t>(v, 1, kMaxShuffleBlock, r.shuffle.block); },
                 [](const L& r) { return Json(r.shuffle.block); }, [](const L& r) { return r.shuffle.swaps(); }},
    RecipeOption{"lsa_blocks", "lsa: pieces of the channels that are assigned each for itself",
                 [](L& r, Text v) { return set_count<int64_t>(v, 1, kMaxLsaBlocks, r.shuffle.lsa_blocks); },
                 [](const L& r) { return Json(r.shuffle.lsa_blocks); },
                 [](const L& r) { return r.shuffle.method == ShuffleMethod::lsa; }},
    RecipeOption{"shuffle_rows", "Rows of the saliency that the shuffle searches, evenly spaced; 0 means all",
                 [](L& r, Text v) { return set_count<int64_t>(v, 0, kMaxShuffleRows, r.shuffle.rows); },
                 [](const L& r) { return Json(r.shuffle.rows); },
                 [](const L& r) { return r.shuffles() && r.shuffle.rows > 0; }},
    RecipeOption{"update", "How the rest adapts: none, or refit, obs | admm | dsnot, descent, joined by '+'",
                 [](L& r, Text v) { return take(UpdateSteps::parse(v), r.update); },
                 [](const L& r) { return Json(r.update.text()); }, always},
    RecipeOption{"damping", "obs, admm, descent: share of the mean diagonal added to the input's second moments",
                 [](L& r, Text v) { return set_number(v, 0, 10, r.damping); },
                 [](const L& r) { return Json(r.damping); }, solves},
    RecipeOption{"refit_damping", "refit: the same, pulling towards the dense weights",
                 [](L& r, Text v) { return set_number(v, 0, 10, r.refit_damping); },
                 [](const L& r) { return Json(r.refit_damping); }, [](const L& r) { return r.update.refit; }},
    RecipeOption{"residual", "refit: o and down make up for what the residual stream lost so far (true, false)",
                 [](L& r, Text v) { return set_switch(v, r.residual); }, [](const L& r) { return Json(r.residual); },
                 [](const L& r) { return r.update.refit; }},
    RecipeOption{"sweeps", "descent: sweeps over all columns, at most",
                 [](L& r, Text v) { return set_count<int>(v, 1, 1000, r.sweeps); },
                 [](const L& r) { return Json(r.sweeps); }, [](const L& r) { return r.update.descent; }},
    RecipeOption{"dsnot_cycles", "dsnot: exchanges per row, at most",
                 [](L& r, Text v) { return set_count<int>(v, 1, 100000, r.dsnot.max_cycle); },
                 [](const L& r) { return Json(r.dsnot.max_cycle); },
                 [](const L& r) { return r.update.mask_update == MaskUpdate::dsnot; }},
    RecipeOption{"dsnot_threshold", "dsnot: rows whose expected change is not above this are left alone",
                 [](L& r, Text v) { return set_number(v, 0, kInfinity, r.dsnot.update_threshold); },
                 [](const L& r) { return Json(r.dsnot.update_threshold); },
                 [](const L& r) { return r.update.mask_update == MaskUpdate::dsnot; }},
    RecipeOption{"alpha", "E-Sparse: weight of the input norm beside the entropy",
                 [](L& r, Text v) { return set_number(v, 0, kInfinity, r.saliency_options.alpha); },
                 [](const L& r) { return Json(r.saliency_options.alpha); },
                 [](const L& r) { return r.saliency->reads_alpha; }},
    RecipeOption{"ria_power", "RIA: power of the input norm",
                 [](L& r, Text v) { return set_number(v, 0, 10, r.saliency_options.ria_power); },
                 [](const L& r) { return Json(r.saliency_options.ria_power); },
                 [](const L& r) { return r.saliency->reads_ria_power; }},
    RecipeOption{"bins", "E-Sparse: histogram bins per channel",
                 [](L& r, Text v) { return set_count<int>(v, 2, 4096, r.entropy_bins); },
                 [](const L& r) { return Json(r.entropy_bins); }, reads_entropy},
    RecipeOption{"entropy_range", "E-Sparse: bins over channel, layer or quantile(q)",
                 [](L& r, Text v) { return take(EntropyRange::parse(v), r.entropy_range); },
                 [](const L& r) { return Json(r.entropy_range.text()); }, reads_entropy},
    RecipeOption{"norm_reduction", "Input norm: sum of squares divided by per_seq, per_token or total (1)",
                 [](L& r, Text v) { return take(parse_norm_reduction(v), r.saliency_options.norm_reduction); },
                 [](const L& r) { return Json(norm_reduction_name(r.saliency_options.norm_reduction)); }, reads_norms},
};

bool reads_owl(const Recipe& r) { return r.allocation == Allocation::owl; }

Status set_allocation(Recipe& recipe, Text text) {
  if (text != "uniform" && text != "owl") return bad_value("uniform or owl", text);
  recipe.allocation = text == "owl" ? Allocation::owl : Allocation::uniform;
  return {};
}

constexpr std::array kModelOptions = {
    ModelOption{"sequential", "Prune a block's layers in turn, each fed by the pruned ones before (true, false)",
                [](Recipe& r, Text v) { return set_switch(v, r.sequential); },
                [](const Recipe& r) { return Json(r.sequential); }, [](const Recipe&) { return true; }},
    ModelOption{"allocation", "How much each block is pruned: uniform or owl", set_allocation,
                [](const Recipe& r) { return Json(r.allocation == Allocation::owl ? "owl" : "uniform"); },
                [](const Recipe&) { return true; }},
    ModelOption{"owl_lambda", "owl: sparsities of the blocks span twice this",
                [](Recipe& r, Text v) { return set_number(v, 0, 0.5, r.owl.lambda); },
                [](const Recipe& r) { return Json(r.owl.lambda); }, reads_owl},
    ModelOption{"owl_span", "owl with N:M: the N of the blocks span so many weights",
                [](Recipe& r, Text v) { return set_number(v, 0, 32, r.owl.nm_span); },
                [](const Recipe& r) { return Json(r.owl.nm_span); }, reads_owl},
    ModelOption{"owl_threshold", "owl: an outlier scores more than so many times the mean",
                [](Recipe& r, Text v) { return set_number(v, 0, kInfinity, r.owl.outlier_multiple); },
                [](const Recipe& r) { return Json(r.owl.outlier_multiple); }, reads_owl},
};

}  // namespace

std::span<const RecipeOption> linear_recipe_options() { return kLinearOptions; }
std::span<const ModelOption> model_recipe_options() { return kModelOptions; }

Status set_linear_option(LinearRecipe& recipe, std::string_view name, std::string_view value) {
  for (const RecipeOption& option : kLinearOptions)
    if (option.name == name) return option.set(recipe, value).with_context(std::string(name));
  return invalid_argument("unknown setting {:?}", name.substr(0, 40));
}

}  // namespace esparse
