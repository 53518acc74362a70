#include "eval/eval_json.h"

namespace esparse {
namespace {

void put(Json& json, const std::string& name, const Estimate& estimate) {
  json[name] = estimate.mean;
  json[name + "_stderr"] = estimate.standard_error;
}

}  // namespace

Json perplexity_json(const PreparedText& text, const Perplexity& measured) {
  Json json = {{"tokens", measured.tokens},
               {"windows", measured.windows},
               {"context", text.options.context},
               {"complete", measured.complete()},
               {"bits_per_byte", bits_per_byte(measured.nll.mean, text.tokens, text.bytes)},
               {"text", text.facts()}};
  put(json, "nll", measured.nll);
  put(json, "perplexity", measured.perplexity);
  if (const auto& divergence = measured.divergence) {
    Json& against = json["against"];
    put(against, "kl", divergence->kl);
    against["kl_p99"] = divergence->kl_p99;
    put(against, "same_top", divergence->same_top);
    put(against, "reference_nll", divergence->reference_nll);
    put(against, "nll_difference", divergence->nll_difference);
    put(against, "perplexity_ratio", divergence->perplexity_ratio);
  }
  return json;
}

Json task_json(const TaskResult& result) {
  Json json = {{"task", result.spec->name},
               {"file_sha256", result.file_sha256},
               {"items", result.items},
               {"complete", result.complete()},
               {"tokens", result.statistics.tokens},
               {"tokens_run", result.statistics.tokens_run},
               {"cut_items", result.statistics.cut_items}};
  put(json, "acc", result.acc);
  if (result.acc_norm) put(json, "acc_norm", *result.acc_norm);
  if (result.acc_bytes) put(json, "acc_bytes", *result.acc_bytes);
  if (result.perplexity) put(json, "perplexity", *result.perplexity);
  return json;
}

std::string item_lines(const TaskResult& result) {
  std::string lines;
  for (size_t i = 0; i < result.details.size(); ++i) {
    const ItemResult& item = result.details[i];
    Json json = {{"task", result.spec->name}, {"item", i}, {"gold", item.gold}};
    for (const ChoiceScore& score : item.scores) json["log_likelihoods"].push_back(score.log_likelihood);
    if (result.spec->kind == TaskKind::last_word) {
      json["greedy"] = item.scores[0].greedy;
    } else {
      json["best"] = item.best;
      json["best_norm"] = item.best_norm;
      json["best_bytes"] = item.best_bytes;
    }
    lines += json.dump() + "\n";
  }
  return lines;
}

}  // namespace esparse
