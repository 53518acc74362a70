#include "search/budget_search.h"

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "model/cpu_engine.h"
#include "runtime/engine_bench.h"
#include "runtime/plan_search.h"
#include "search/forecast.h"
#include "search/linear_times.h"
#include "search/model_measure.h"
#include "search/sensitivity.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

// Uniform models are measured when they are forecast to lose between a third and three times of the budget, so that
// they can be compared and teach the forecast; the others are shown as forecast.
constexpr double kNearBudget = 3;
constexpr size_t kFewestUniform = 2;
// A kept budget of which less than so much is used is worth another attempt.
constexpr double kWellUsed = 0.85;
constexpr size_t kFrontLines = 10;

class Searcher {
 public:
  explicit Searcher(const BudgetSearch& search) : in_(search) {}

  Result<BudgetResult> run() {
    ESPARSE_RETURN_IF_ERROR(prepare());
    ESPARSE_RETURN_IF_ERROR(measure_parts());
    make_front();
    ESPARSE_RETURN_IF_ERROR(measure_uniform());
    ESPARSE_RETURN_IF_ERROR(attempt_all());
    finish();
    return std::move(result_);
  }

 private:
  Status prepare() {
    ESPARSE_ASSIGN_OR_RETURN(dense_, in_.open_dense());
    if (in_.recipe.allocation != Allocation::uniform)
      return invalid_argument("--budget: the search decides how much each block gives; use allocation uniform");
    ESPARSE_RETURN_IF_ERROR(check_prunable(*dense_, in_.recipe));
    result_.groups = groups_of(*dense_, in_.recipe, in_.candidates);
    if (std::ranges::all_of(result_.groups, [](const SearchGroup& group) { return group.options.size() < 2; }))
      return invalid_argument("--budget: the recipe spares all linears, there is nothing to choose");
    for (const PruneTarget& candidate : in_.candidates) {  // what cannot be pruned is refused before long work
      const Recipe recipe = recipe_for(*dense_, in_.recipe, result_.groups, uniform_options(candidate));
      ESPARSE_RETURN_IF_ERROR(
          check_prunable(*dense_, recipe).with_context(fmt::format("--candidates: {}", candidate.text())));
    }
    fingerprint_ = search_fingerprint();
    if (in_.resume) {
      ESPARSE_ASSIGN_OR_RETURN(state_, read_search_state(in_.directory / kSearchStateFile, fingerprint_));
    }
    ESPARSE_ASSIGN_OR_RETURN(HeldOut held_out, HeldOut::create(*dense_, in_.held_out));
    held_out_.emplace(std::move(held_out));
    result_.dense_nll = held_out_->dense_nll();
    result_.held_out_tokens = held_out_->predicted_tokens();
    return {};
  }

  uint64_t search_fingerprint() const {
    PruneRunInputs inputs = in_.prune;
    inputs.facts["budget"] = in_.budget.text();  // it decides what was measured
    for (const PruneTarget& candidate : in_.candidates) inputs.facts["candidates"].push_back(candidate.text());
    inputs.windows.insert(inputs.windows.end(), in_.held_out.begin(), in_.held_out.end());
    return run_fingerprint(*dense_, in_.recipe, inputs);
  }

  Status save() const { return write_search_state(in_.directory / kSearchStateFile, fingerprint_, state_); }

  // Losses, bytes and seconds of every option of every group.
  Status measure_parts() {
    ESPARSE_ASSIGN_OR_RETURN(const LinearTimes times, LinearTimes::measure(*dense_, in_.candidates, 9));
    const fs::path calibration = in_.directory / "calibration";
    std::error_code error;
    fs::create_directories(calibration, error);
    if (error) return io_error("{}: {}", calibration.string(), error.message());
    ESPARSE_RETURN_IF_ERROR(
        measure_sensitivities({*dense_, in_.recipe, in_.candidates, in_.prune.windows, *held_out_, calibration},
                              state_.sensitivities, [&] { return save(); }));
    fs::remove_all(calibration, error);

    ESPARSE_ASSIGN_OR_RETURN(const EngineTimes engine, time_dense_engine());
    double linear_seconds = 0;
    int64_t linear_bytes = 0;
    for (const SearchGroup& group : result_.groups) {
      const DecoderBlock& block = dense_->blocks()[group.layer];
      const auto sites = sites_of(group.name);
      std::vector<Costs>& costs = costs_.emplace_back();
      for (const SiteTargets& option : group.options) {
        Costs& cost = costs.emplace_back();
        for (const std::string& part : parts_of(option)) cost.loss += state_.sensitivities[group.layer].at(part).kl;
        cost.bytes = static_cast<double>(bytes_under(block, dense_->config(), in_.recipe, sites, option));
        cost.seconds = times.seconds_under(block, in_.recipe, sites, option);
      }
      linear_bytes += static_cast<int64_t>(costs[0].bytes);
      linear_seconds += costs[0].seconds;
    }
    const int64_t all_bytes = tensor_bytes(dense_->checkpoint().tensors);
    rest_.bytes = static_cast<double>(all_bytes - linear_bytes);
    rest_.seconds = std::max(0.0, engine.decode_seconds_per_token - linear_seconds);
    result_.dense = {0, static_cast<double>(all_bytes), rest_.seconds + linear_seconds};
    result_.objective = in_.objective.value_or(worth_timing() ? Objective::time : Objective::bytes);
    return {};
  }

  // Of the costs that the budget or the objective asks for; the others would only blur it.
  void make_front() {
    const bool only_loss = !in_.budget.limits_cost();
    const bool bytes = in_.budget.bytes_share || (only_loss && result_.objective == Objective::bytes);
    const bool seconds = in_.budget.speedup || (only_loss && result_.objective == Objective::time);
    std::vector<std::vector<Costs>> asked = costs_;
    for (auto& group : asked)
      for (Costs& cost : group) {
        if (!bytes) cost.bytes = 0;
        if (!seconds) cost.seconds = 0;
      }
    front_ = pareto_front(asked);
    for (Selection& selection : front_) selection.total = total_of(selection.options);
  }
  Costs total_of(const std::vector<int32_t>& options) const {
    Costs total = rest_;
    for (size_t group = 0; group < costs_.size(); ++group) total += costs_[group][options[group]];
    return total;
  }

  Result<EngineTimes> time_dense_engine() const {
    const int64_t positions = dense_->config().max_positions, gen = std::clamp<int64_t>(positions / 2, 1, 32);
    CpuEngine engine(*dense_);
    return time_engine(engine, std::clamp<int64_t>(positions - gen, 1, 16), gen, 3);
  }

  // Times of linears below that are those of parallel regions and of chance.
  bool worth_timing() const {
    return std::ranges::any_of(block_linears(*dense_), [](const LinearLayer* linear) {
      return linear->out_features() * linear->in_features() >= PlanSearchOptions().min_elements;
    });
  }

  ModelPoint point_of(std::string name, std::vector<int32_t> options) const {
    ModelPoint point{std::move(name), std::move(options), {}, 0, 0, {}};
    point.sums = total_of(point.options);
    forecast(point);
    return point;
  }
  void forecast(ModelPoint& point) const {
    point.predicted_kl = kl_.at(point.sums.loss);
    point.predicted_rise = rise_.at(point.sums.loss);
  }

  std::vector<std::string> option_texts(const ModelPoint& point) const {
    std::vector<std::string> texts;
    for (size_t group = 0; group < result_.groups.size(); ++group)
      texts.push_back(result_.groups[group].options[point.options[group]].text());
    return texts;
  }
  fs::path directory_of(const ModelPoint& point) const {
    Fingerprint fingerprint;
    for (const std::string& text : option_texts(point)) fingerprint.add(text + "\n");
    return in_.directory / fmt::format("model-{:016x}", fingerprint.value());
  }

  // Prunes the point's model unless it is known. `keep`: the model must be there afterwards.
  Status measure(ModelPoint& point, bool keep) {
    const auto texts = option_texts(point);
    const fs::path directory = directory_of(point);
    const bool with_speed = in_.budget.speedup.has_value();
    std::error_code ignored;
    const MeasuredModel* known = state_.find(texts);
    if (known == nullptr || (keep && !fs::exists(directory, ignored))) {
      const Recipe recipe = recipe_for(*dense_, in_.recipe, result_.groups, point.options);
      auto measured = fs::exists(directory, ignored)
                          ? measure_model(in_.open_dense, *held_out_, directory, with_speed)
                          : prune_and_measure(in_.open_dense, recipe, in_.prune, *held_out_, directory, with_speed);
      if (!measured.ok()) return measured.status().with_context(point.name);
      if (known == nullptr) {
        measured->options = texts;
        state_.measured.push_back(std::move(measured).value());
        ESPARSE_RETURN_IF_ERROR(save());
      }
      known = state_.find(texts);
    }
    point.measured = *known;
    if (!keep) fs::remove_all(directory, ignored);
    kl_.add(point.sums.loss, known->divergence.kl);
    rise_.add(point.sums.loss, known->divergence.nll_rise);
    return {};
  }

  // How far the loss of a point is from the budget, as the largest of the limits' shares: below 1 keeps them.
  double loss_share(double kl, double rise) const {
    double share = 0;
    if (in_.budget.kl) share = std::max(share, kl / *in_.budget.kl);
    if (in_.budget.ppl_rise) share = std::max(share, rise / std::log1p(*in_.budget.ppl_rise));
    return share;
  }
  double cost_share(double bytes, double speedup) const {
    double share = 0;
    if (in_.budget.bytes_share) share = std::max(share, bytes / (*in_.budget.bytes_share * result_.dense.bytes));
    if (in_.budget.speedup) share = std::max(share, *in_.budget.speedup / std::max(speedup, 1e-9));
    return share;
  }
  double predicted_share(const Costs& sums) const {
    return std::max(loss_share(kl_.at(sums.loss), rise_.at(sums.loss)),
                    cost_share(sums.bytes, result_.dense.seconds / sums.seconds * speed_correction_));
  }
  double measured_share(const MeasuredModel& model) const {
    return std::max(loss_share(model.divergence.kl, model.divergence.nll_rise),
                    cost_share(static_cast<double>(model.bytes), model.speedup.value_or(0)));
  }

  Status measure_uniform() {
    for (const PruneTarget& candidate : in_.candidates)
      result_.uniform.push_back(point_of("uniform " + candidate.text(), uniform_options(candidate)));
    // Those nearest to the budget first: each teaches the forecast about the next.
    std::vector<ModelPoint*> left;
    for (ModelPoint& point : result_.uniform) left.push_back(&point);
    for (size_t measured = 0; !left.empty(); ++measured) {
      const auto distance = [&](const ModelPoint* point) {
        return std::abs(std::log(std::max(predicted_share(point->sums), 1e-9)));
      };
      const auto nearest = std::ranges::min_element(left, [&](auto* a, auto* b) { return distance(a) < distance(b); });
      if (measured >= kFewestUniform && distance(*nearest) > std::log(kNearBudget)) break;
      ESPARSE_RETURN_IF_ERROR(measure(**nearest, false));
      left.erase(nearest);
    }
    return {};
  }

  std::vector<int32_t> uniform_options(const PruneTarget& candidate) const {
    std::vector<int32_t> options;
    for (const SearchGroup& group : result_.groups) options.push_back(uniform_option(group, candidate));
    return options;
  }

  static int32_t uniform_option(const SearchGroup& group, const PruneTarget& target) {
    size_t best = 0, most_sites = 0;
    for (size_t option = 0; option < group.options.size(); ++option) {
      const auto& sites = group.options[option].sites;
      const bool same = std::ranges::all_of(sites, [&](const auto& site) { return site.second == target; });
      if (same && sites.size() > most_sites) best = option, most_sites = sites.size();
    }
    return static_cast<int32_t>(best);
  }

  double objective_of(const Costs& sums) const {
    if (in_.budget.limits_cost()) return sums.loss;
    return result_.objective == Objective::bytes ? sums.bytes : sums.seconds;
  }

  // The best of the front that is predicted to keep the budget, at a sum of divergences of at most `most`; the nearest
  // to it where none does.
  ModelPoint pick(double most) const {
    const Selection* best = nullptr;
    const Selection* nearest = nullptr;
    double best_objective = 0, nearest_share = 0;
    for (const Selection& selection : front_) {
      const Costs& sums = selection.total;
      if (sums.loss > most) continue;
      const double share = predicted_share(sums), objective = objective_of(sums);
      if (nearest == nullptr || share < nearest_share) nearest = &selection, nearest_share = share;
      if (share <= 1 && (best == nullptr || objective < best_objective)) best = &selection, best_objective = objective;
    }
    return point_of("searched", (best != nullptr ? best : nearest)->options);
  }

  Status attempt_all() {
    double most = INFINITY;
    for (int attempt = 0; attempt < in_.most_attempts; ++attempt) {
      ModelPoint point = pick(most);
      if (std::ranges::any_of(result_.attempts, [&](const ModelPoint& a) { return a.options == point.options; })) break;
      ESPARSE_RETURN_IF_ERROR(try_point(std::move(point)));
      const ModelPoint& last = result_.attempts.back();
      const double share = measured_share(*last.measured);
      if (in_.budget.speedup) speed_correction_ = *last.measured->speedup / (result_.dense.seconds / last.sums.seconds);
      if (share > 1) {
        if (in_.budget.limits_loss()) most = 0.97 * last.sums.loss;  // in any case less than this
      } else if (share > kWellUsed || in_.budget.limits_cost()) {
        break;
      }
    }
    return try_better_uniform();
  }

  Status try_point(ModelPoint point) {
    ESPARSE_RETURN_IF_ERROR(measure(point, true));
    result_.attempts.push_back(std::move(point));
    const size_t index = result_.attempts.size() - 1;
    if (!result_.best || is_better(result_.attempts[index], result_.attempts[*result_.best])) result_.best = index;
    return {};
  }

  bool is_better(const ModelPoint& a, const ModelPoint& b) const {
    const double share_a = measured_share(*a.measured), share_b = measured_share(*b.measured);
    if (share_a > 1 || share_b > 1) return share_a < share_b;
    if (!in_.budget.limits_cost()) return objective_of(a.sums) < objective_of(b.sums);
    return a.measured->divergence.kl < b.measured->divergence.kl;
  }

  // A uniform model that was measured may beat what the search has found.
  Status try_better_uniform() {
    const ModelPoint* better = nullptr;
    for (const ModelPoint& uniform : result_.uniform)
      if (uniform.measured && measured_share(*uniform.measured) <= 1 &&
          is_better(uniform, better == nullptr ? result_.attempts[*result_.best] : *better))
        better = &uniform;
    return better == nullptr ? Status() : try_point(*better);
  }

  void finish() {
    const ModelPoint& best = result_.attempts[*result_.best];
    result_.met = measured_share(*best.measured) <= 1;
    result_.recipe = recipe_for(*dense_, in_.recipe, result_.groups, best.options);
    result_.model = directory_of(best);
    std::error_code ignored;
    for (const ModelPoint& attempt : result_.attempts)
      if (directory_of(attempt) != result_.model) fs::remove_all(directory_of(attempt), ignored);
    for (ModelPoint& point : result_.uniform) forecast(point);
    const size_t lines = std::min(kFrontLines, front_.size());
    for (size_t line = 0; line < lines; ++line) {
      const size_t index = lines == 1 ? 0 : line * (front_.size() - 1) / (lines - 1);
      result_.front.push_back(point_of("", front_[index].options));
    }
    result_.verdict = verdict(best);
  }

  std::string verdict(const ModelPoint& best) const {
    const MeasuredModel& measured = *best.measured;
    std::string text = result_.met ? "kept:" : "not kept, the closest model:";
    if (in_.budget.ppl_rise)
      text += fmt::format(" perplexity {:+.2f} % (promised {:+.2f} %),", 100 * std::expm1(measured.divergence.nll_rise),
                          100 * std::expm1(best.predicted_rise));
    if (in_.budget.kl)
      text += fmt::format(" divergence {:.4f} (promised {:.4f}),", measured.divergence.kl, best.predicted_kl);
    if (measured.speedup)
      text += fmt::format(" speedup {:.2f}x (promised {:.2f}x),", *measured.speedup,
                          result_.dense.seconds / best.sums.seconds);
    return text + fmt::format(" bytes {:.3f}x", static_cast<double>(measured.bytes) / result_.dense.bytes);
  }

  const BudgetSearch& in_;
  std::unique_ptr<Model> dense_;
  std::optional<HeldOut> held_out_;
  uint64_t fingerprint_ = 0;
  SearchState state_;
  std::vector<std::vector<Costs>> costs_;  // of every option of every group
  Costs rest_;                             // of what is never pruned
  std::vector<Selection> front_;           // totals of the whole model
  Forecast kl_, rise_;
  double speed_correction_ = 1;  // measured over predicted speedup
  BudgetResult result_;
};

}  // namespace

Result<BudgetResult> search_budget(const BudgetSearch& search) { return Searcher(search).run(); }

}  // namespace esparse
