#include "runtime/plan_search.h"

#include <algorithm>
#include <functional>
#include <random>

#include "base/checked.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/timing.h"
#include "kernels/linear.h"
#include "runtime/kernel_names.h"

namespace esparse {
namespace {

// How many tokens stand for a bucket. Beyond 128 every path costs in proportion to the tokens.
constexpr std::array<int64_t, kTokenBuckets.size()> kBucketTokens = {1, 4, 8, 16, 64, 128};
// Decoding matters most, then reading a prompt: a search that runs out of time has measured these.
constexpr std::array<size_t, kTokenBuckets.size()> kBucketOrder = {0, 5, 1, 2, 3, 4};
// Another path than the default one must win by this factor, or chance would choose.
constexpr double kClearlyFaster = 0.97;

// A path serves a bucket when it is possible for its smallest and its largest count.
std::vector<LinearPath> bucket_paths(const WeightView& weight, size_t bucket) {
  constexpr int64_t kMany = 4096;  // a large prompt
  const int64_t smallest = bucket == 0 ? 1 : kTokenBuckets[bucket - 1] + 1;
  std::vector<LinearPath> paths = possible_paths(weight, std::min(kTokenBuckets[bucket], kMany));
  const auto at_smallest = possible_paths(weight, smallest);
  std::erase_if(paths, [&](LinearPath path) {
    return std::find(at_smallest.begin(), at_smallest.end(), path) == at_smallest.end();
  });
  if (paths.empty()) paths.push_back(default_plan(weight).paths[bucket]);
  return paths;
}

bool is_dense(const LinearLayer& layer) { return !layer.is_packed(); }

// The first rows of a weight: they begin where the weight does, in every form.
template <typename View>
View first_rows(View view, int64_t rows) {
  view.out_features = rows;
  return view;
}
// Of both regions, in their proportion when they share the rows.
SpenseView first_rows(SpenseView view, int64_t rows) {
  const int64_t sparse =
      view.split == SpenseSplit::in ? rows : rows * (view.out_features - view.dense.out_features) / view.out_features;
  view.dense = first_rows(view.dense, view.split == SpenseSplit::in ? rows : rows - sparse);
  std::visit([&](auto& region) { region = first_rows(region, sparse); }, view.sparse);
  view.out_features = rows;
  return view;
}
WeightView first_rows(const WeightView& weight, int64_t rows) {
  return std::visit([&](const auto& view) { return WeightView(first_rows(view, rows)); }, weight);
}

// All rows where reading them takes the time; for more tokens as many as keep a thread busy for some hundredths of a
// second, but enough that every thread has several tiles of them.
int64_t measured_rows(const WeightKind& kind, int64_t tokens) {
  if (tokens <= kTokenBuckets[3]) return kind.out_features;
  constexpr double kFlopsPerThread = 1e9;
  constexpr int64_t kUnit = 64, kLeastPerThread = 512;
  const double flops_per_row = 2.0 * static_cast<double>(tokens * kind.in_features);
  const auto rows = static_cast<int64_t>(kFlopsPerThread * thread_count() / flops_per_row) / kUnit * kUnit;
  return std::min(kind.out_features, std::max(rows, kLeastPerThread * thread_count()));
}

// Dense weights to compare with, in one piece of memory. Their values do not matter as long as they are ordinary: bytes
// of 0x3c are a small positive number in each of the three types.
class DensePool {
 public:
  WeightView next(const WeightKind& kind, int64_t rows, int64_t copies) {
    const int64_t bytes = ceil_div(rows * kind.in_features * dtype_bytes(kind.dtype), kAlignment) * kAlignment;
    const int64_t wanted = std::min(bytes * copies, std::max(bytes, cold_bytes()));
    if (static_cast<int64_t>(memory_.size()) < wanted + kAlignment)
      memory_.assign(static_cast<size_t>(wanted + kAlignment), std::byte{0x3c});
    offset_ = offset_ + 2 * bytes > wanted ? 0 : offset_ + bytes;
    auto* base = reinterpret_cast<std::byte*>(
        ceil_div(static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory_.data())), kAlignment) * kAlignment);
    return DenseView{kind.dtype, rows, kind.in_features, base + offset_};
  }

 private:
  static constexpr int64_t kAlignment = 64;
  std::vector<std::byte> memory_;
  int64_t offset_ = 0;
};

LinearPlan only(LinearPath path) {
  LinearPlan plan;
  plan.paths.fill(path);
  return plan;
}

// One choice of one kind: the layers of this kind, used in turn.
class ChoiceSearch {
 public:
  ChoiceSearch(std::vector<const LinearLayer*> layers, size_t bucket, DensePool& pool)
      : layers_(std::move(layers)),
        kind_(kind_of(*layers_.front())),
        bucket_(bucket),
        rows_(measured_rows(kind_, kBucketTokens[bucket])),
        x_(kBucketTokens[bucket], kind_.in_features),
        y_(kBucketTokens[bucket], rows_),
        pool_(pool) {
    std::minstd_rand random(1);
    for (float& value : x_.values()) value = static_cast<float>(random() >> 7) * 0x1p-23f - 1.0f;
  }

  PlanChoice run(int repetitions, double budget_seconds) {
    const WeightView& weight = layers_.front()->weight();
    const auto paths = bucket_paths(weight, bucket_);
    const LinearPath preferred = default_plan(weight).paths[bucket_];
    if (is_dense(*layers_.front()) && paths.size() == 1) return {paths[0], 0, paths[0], 0};
    std::vector<std::function<void()>> bodies;
    for (const LinearPath path : paths)
      bodies.push_back([this, path] { multiply(first_rows(next_weight(), rows_), path); });
    const WeightView dense = DenseView{kind_.dtype, kind_.out_features, kind_.in_features, nullptr};
    const auto dense_paths = is_dense(*layers_.front()) ? std::vector<LinearPath>() : bucket_paths(dense, bucket_);
    for (const LinearPath path : dense_paths)
      bodies.push_back([this, path] { multiply(pool_.next(kind_, rows_, copies()), path); });
    for (const auto& body : bodies) body();  // pages are mapped, kernels of oneDNN compiled
    const auto times = time_in_turns(bodies, {1, repetitions, budget_seconds});
    PlanChoice choice;
    pick(paths, preferred, times, 0, choice.path, choice.seconds);
    if (!dense_paths.empty())
      pick(dense_paths, default_plan(dense).paths[bucket_], times, paths.size(), choice.dense_path,
           choice.dense_seconds);
    return choice;
  }

 private:
  const WeightView& next_weight() {
    turn_ = (turn_ + 1) % layers_.size();
    return layers_[turn_]->weight();
  }
  int64_t copies() const { return static_cast<int64_t>(layers_.size()); }
  void multiply(const WeightView& weight, LinearPath path) { linear(weight, x_.view(), {}, y_.view(), only(path)); }

  static void pick(const std::vector<LinearPath>& paths, LinearPath preferred,
                   const std::vector<std::vector<double>>& times, size_t first, LinearPath& path, double& seconds) {
    double best = 0;
    for (size_t i = 0; i < paths.size(); ++i) {
      const double here = median(times[first + i]);
      const double counted = paths[i] == preferred ? here * kClearlyFaster : here;
      if (i > 0 && counted >= best) continue;
      best = counted;
      path = paths[i];
      seconds = here;
    }
  }

  std::vector<const LinearLayer*> layers_;
  WeightKind kind_;
  size_t bucket_;
  int64_t rows_;
  Matrix<float> x_, y_;
  DensePool& pool_;
  size_t turn_ = 0;
};

// The linears worth measuring, those of a kind together, in the order of their first layer.
std::vector<std::vector<const LinearLayer*>> layers_by_kind(const Model& model, const PlanSearchOptions& options) {
  std::vector<std::vector<const LinearLayer*>> kinds;
  for (const LinearLayer* layer : block_linears(model)) {
    if (layer->out_features() * layer->in_features() < options.min_elements) continue;
    const auto same =
        std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return kind_of(*k[0]) == kind_of(*layer); });
    same == kinds.end() ? void(kinds.push_back({layer})) : same->push_back(layer);
  }
  return kinds;
}

KindPlan& plan_of(PlanTable& table, const WeightKind& kind) {
  for (KindPlan& plan : table)
    if (plan.kind == kind) return plan;
  table.push_back({kind, {}});
  return table.back();
}

}  // namespace

WeightKind kind_of(const LinearLayer& layer) {
  return {weight_form(layer.weight()), layer.dtype(), layer.out_features(), layer.in_features()};
}

const KindPlan* find_plan(const PlanTable& table, const WeightKind& kind) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const KindPlan& plan) { return plan.kind == kind; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<const LinearLayer*> block_linears(const Model& model) {
  std::vector<const LinearLayer*> linears;
  for (const DecoderBlock& block : model.blocks())
    for (const InputSite site : kInputSites)
      for (const LinearLayer* layer : block.linears_at(site)) linears.push_back(layer);
  return linears;
}

int64_t missing_choices(const Model& model, const PlanTable& table, const PlanSearchOptions& options) {
  int64_t missing = 0;
  for (const auto& layers : layers_by_kind(model, options)) {
    const KindPlan* plan = find_plan(table, kind_of(*layers[0]));
    for (size_t bucket = 0; bucket < kTokenBuckets.size(); ++bucket)
      missing += plan == nullptr || !plan->choices[bucket];
  }
  return missing;
}

void search_plans(const Model& model, const PlanSearchOptions& options, PlanTable& table) {
  int64_t left = missing_choices(model, table, options);
  Progress progress("Measuring kernels", left);
  double seconds_left = options.budget_seconds;
  DensePool pool;
  const auto kinds = layers_by_kind(model, options);
  for (const size_t bucket : kBucketOrder)
    for (const auto& layers : kinds) {
      auto& choice = plan_of(table, kind_of(*layers[0])).choices[bucket];
      if (choice || seconds_left <= 0) continue;
      const double budget = seconds_left / static_cast<double>(left--);
      seconds_left -= seconds_of([&] { choice = ChoiceSearch(layers, bucket, pool).run(options.repetitions, budget); });
      progress.advance();
    }
}

void apply_plans(const PlanTable& table, Model& model) {
  for (DecoderBlock& block : model.blocks())
    for (const InputSite site : kInputSites)
      for (LinearLayer* layer : block.linears_at(site)) {
        const KindPlan* known = find_plan(table, kind_of(*layer));
        if (known == nullptr) continue;
        LinearPlan plan = default_plan(layer->weight());
        for (size_t bucket = 0; bucket < plan.paths.size(); ++bucket) {
          if (!known->choices[bucket]) continue;
          const auto possible = bucket_paths(layer->weight(), bucket);
          const LinearPath path = known->choices[bucket]->path;
          if (std::find(possible.begin(), possible.end(), path) != possible.end()) plan.paths[bucket] = path;
        }
        layer->set_plan(plan);
      }
}

}  // namespace esparse
