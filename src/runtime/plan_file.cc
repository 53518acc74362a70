#include "runtime/plan_file.h"

#include <cmath>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/mmap.h"
#include "base/parallel.h"
#include "io/files.h"
#include "io/json.h"
#include "io/keyed_tables.h"
#include "kernels/isa.h"

namespace esparse {
namespace fs = std::filesystem;
namespace {

const KeyedTablesFormat kFormat{1, "weights"};

Json key_json(const PlanKey& key) {
  return {{"cpu", key.cpu}, {"isa", key.isa}, {"threads", key.threads}, {"binary", key.binary}};
}

Json choice_json(size_t bucket, const PlanChoice& choice) {
  return {{"bucket", bucket},
          {"path", path_name(choice.path)},
          {"seconds", choice.seconds},
          {"dense_path", path_name(choice.dense_path)},
          {"dense_seconds", choice.dense_seconds}};
}

Json plan_json(const KindPlan& plan) {
  Json choices = Json::array();
  for (size_t bucket = 0; bucket < plan.choices.size(); ++bucket)
    if (plan.choices[bucket]) choices.push_back(choice_json(bucket, *plan.choices[bucket]));
  return {{"form", plan.kind.form},
          {"dtype", dtype_name(plan.kind.dtype)},
          {"out_features", plan.kind.out_features},
          {"in_features", plan.kind.in_features},
          {"choices", choices}};
}

Result<LinearPath> path_field(const JsonFields& fields, std::string_view key) {
  ESPARSE_ASSIGN_OR_RETURN(const std::string name, fields.string(key));
  for (const LinearPath path : {LinearPath::few, LinearPath::sparse_gemm, LinearPath::dense_gemm})
    if (path_name(path) == name) return path;
  return corruption("{}: {}: unknown path \"{}\"", fields.label(), key, name);
}

Result<double> seconds_field(const JsonFields& fields, std::string_view key) {
  ESPARSE_ASSIGN_OR_RETURN(const double seconds, fields.number(key));
  if (!std::isfinite(seconds) || seconds < 0)
    return corruption("{}: {}: expected seconds of at least 0, got {}", fields.label(), key, seconds);
  return seconds;
}

Status read_choice(const Json& json, const std::string& label, KindPlan& plan) {
  const JsonFields fields(json, label);
  ESPARSE_ASSIGN_OR_RETURN(const int64_t bucket, fields.integer("bucket"));
  if (bucket < 0 || bucket >= static_cast<int64_t>(plan.choices.size()))
    return corruption("{}: bucket: expected 0 to {}, got {}", label, plan.choices.size() - 1, bucket);
  PlanChoice choice;
  ESPARSE_ASSIGN_OR_RETURN(choice.path, path_field(fields, "path"));
  ESPARSE_ASSIGN_OR_RETURN(choice.seconds, seconds_field(fields, "seconds"));
  ESPARSE_ASSIGN_OR_RETURN(choice.dense_path, path_field(fields, "dense_path"));
  ESPARSE_ASSIGN_OR_RETURN(choice.dense_seconds, seconds_field(fields, "dense_seconds"));
  plan.choices[static_cast<size_t>(bucket)] = choice;
  return {};
}

Result<KindPlan> read_plan(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  KindPlan plan;
  ESPARSE_ASSIGN_OR_RETURN(plan.kind.form, fields.string("form"));
  ESPARSE_ASSIGN_OR_RETURN(const std::string dtype, fields.string("dtype"));
  const auto known = dtype_from_name(dtype);
  if (!known || !is_weight_dtype(*known)) return corruption("{}: dtype: unknown type \"{}\"", label, dtype);
  plan.kind.dtype = *known;
  ESPARSE_ASSIGN_OR_RETURN(plan.kind.out_features, fields.integer("out_features"));
  ESPARSE_ASSIGN_OR_RETURN(plan.kind.in_features, fields.integer("in_features"));
  for (const Json& choice : fields.raw("choices")) ESPARSE_RETURN_IF_ERROR(read_choice(choice, label, plan));
  return plan;
}

}  // namespace

Result<PlanKey> this_plan_key() {
  PlanKey key{cpu_model_name(), std::string(isa_name(current_isa())), thread_count(), ""};
  ESPARSE_ASSIGN_OR_RETURN(const MappedFile executable, MappedFile::open("/proc/self/exe"));
  Fingerprint fingerprint;
  fingerprint.add(executable.bytes());
  key.binary = fmt::format("{:016x}", fingerprint.value());
  return key;
}

fs::path default_plan_file() { return cache_file("plans.json"); }

Result<PlanTable> read_plan_file(const fs::path& path, const PlanKey& key) {
  ESPARSE_ASSIGN_OR_RETURN(const Json tables, read_keyed_tables(path, kFormat));
  PlanTable result;
  for (const Json& table : tables) {
    if (table["key"] != key_json(key)) continue;
    for (const Json& weight : table["weights"]) {
      ESPARSE_ASSIGN_OR_RETURN(KindPlan plan, read_plan(weight, path.string()));
      result.push_back(std::move(plan));
    }
  }
  return result;
}

Status write_plan_file(const fs::path& path, const PlanKey& key, const PlanTable& table) {
  Json weights = Json::array();
  for (const KindPlan& plan : table) weights.push_back(plan_json(plan));
  const Json new_key = key_json(key);
  // Keys of one machine differ in `binary` at most.
  return write_keyed_tables(path, kFormat, new_key, weights, [&](const JsonFields& old) {
    return old.raw("cpu") == new_key["cpu"] && old.raw("isa") == new_key["isa"] &&
           old.raw("threads") == new_key["threads"];
  });
}

}  // namespace esparse
