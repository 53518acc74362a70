// What `esparse compare` keeps from one run to the next.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "io/result_cache.h"

namespace esparse {

struct PruneTimes {
  double seconds = -1;                    // -1: unknown
  std::map<std::string, double> linears;  // by name
};

class CompareStore {
 public:
  // Of work/results. Writes nothing yet.
  static Result<CompareStore> open(const std::filesystem::path& work);
  // Makes `work` where it is not there.
  Status make_directory() const;

  // Figures: TextFigures, SpeedFigures, ComparedTask. What cannot be read counts as not there.
  template <typename Figures>
  std::optional<Figures> find(const Json& key) const {
    const std::optional<Json> kept = results_.find(key);
    if (!kept) return {};
    auto figures = Figures::parse(*kept, "results");
    return figures.ok() ? std::optional<Figures>(std::move(figures).value()) : std::nullopt;
  }
  template <typename Figures>
  Status keep(const Json& key, const Figures& figures) const {
    return results_.store(key, figures.to_json());
  }

  // Empty where it is unknown.
  PruneTimes prune_times(uint64_t fingerprint) const;
  Status keep_prune_times(uint64_t fingerprint, const PruneTimes& times) const;

  // Speeds hold for this processor, instruction set, number of threads and executable alone.
  const Json& machine_key() const { return machine_key_; }
  std::string machine() const;  // "AMD EPYC, avx2, 2 threads"

 private:
  CompareStore(std::filesystem::path work, Json machine_key)
      : work_(std::move(work)), results_(work_ / "results"), machine_key_(std::move(machine_key)) {}

  std::filesystem::path work_;
  ResultCache results_;
  Json machine_key_;
};

}  // namespace esparse
