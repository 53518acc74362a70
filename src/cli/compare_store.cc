#include "cli/compare_store.h"

#include <fmt/format.h>

#include "runtime/plan_file.h"

namespace esparse {
namespace {

Json prune_key(uint64_t fingerprint) { return {{"figures", "pruning"}, {"model", fingerprint}}; }

}  // namespace

Result<CompareStore> CompareStore::open(const std::filesystem::path& work) {
  ESPARSE_ASSIGN_OR_RETURN(const PlanKey here, this_plan_key());
  return CompareStore(work, {{"cpu", here.cpu}, {"isa", here.isa}, {"threads", here.threads}, {"binary", here.binary}});
}

Status CompareStore::make_directory() const {
  std::error_code error;
  std::filesystem::create_directory(work_, error);
  if (error) return io_error("--work: {}: {}", work_.string(), error.message());
  return {};
}

PruneTimes CompareStore::prune_times(uint64_t fingerprint) const {
  const std::optional<Json> kept = results_.find(prune_key(fingerprint));
  PruneTimes times;
  if (!kept || !kept->is_object() || !kept->contains("seconds") || !kept->at("seconds").is_number()) return times;
  times.seconds = kept->at("seconds");
  if (!kept->contains("linears") || !kept->at("linears").is_object()) return times;
  for (const auto& [name, seconds] : kept->at("linears").items())
    if (seconds.is_number()) times.linears[name] = seconds;
  return times;
}

Status CompareStore::keep_prune_times(uint64_t fingerprint, const PruneTimes& times) const {
  return results_.store(prune_key(fingerprint), {{"seconds", times.seconds}, {"linears", times.linears}});
}

std::string CompareStore::machine() const {
  return fmt::format("{}, {}, {} threads", machine_key_.at("cpu").get<std::string>(),
                     machine_key_.at("isa").get<std::string>(), machine_key_.at("threads").get<int>());
}

}  // namespace esparse
