#include "kernels/cuda/library_plans.h"

#include <charconv>
#include <cmath>

#include "io/files.h"
#include "io/json.h"
#include "io/keyed_tables.h"

namespace esparse::cuda {
namespace fs = std::filesystem;
namespace {

const KeyedTablesFormat kFormat{1, "plans"};
constexpr size_t kMaxPlans = 4096;
constexpr size_t kMaxAlgorithmBytes = 4096;

Json key_json(const LibraryPlanKey& key) {
  return {{"gpu", key.gpu}, {"driver", key.driver}, {"library", key.library}, {"library_version", key.library_version}};
}

std::string hex_of(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

Result<std::vector<uint8_t>> bytes_of(const std::string& hex, const std::string& label) {
  if (hex.size() % 2 != 0 || hex.size() > 2 * kMaxAlgorithmBytes)
    return corruption("{}: algorithm: expected up to {} hexadecimal bytes, got {} digits", label, kMaxAlgorithmBytes,
                      hex.size());
  std::vector<uint8_t> bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char* digits = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, bytes[i], 16);
    if (error != std::errc() || end != digits + 2)
      return corruption("{}: algorithm: expected hexadecimal digits, got \"{}\"", label, hex.substr(2 * i, 2));
  }
  return bytes;
}

Result<LibraryPlan> read_plan(const Json& json, const std::string& label) {
  const JsonFields fields(json, label);
  LibraryPlan plan;
  ESPARSE_ASSIGN_OR_RETURN(const std::string hex, fields.string("algorithm"));
  ESPARSE_ASSIGN_OR_RETURN(plan.algorithm, bytes_of(hex, label));
  ESPARSE_ASSIGN_OR_RETURN(plan.workspace_bytes, fields.integer("workspace_bytes"));
  ESPARSE_ASSIGN_OR_RETURN(plan.seconds, fields.number("seconds"));
  if (plan.workspace_bytes < 0 || !std::isfinite(plan.seconds) || plan.seconds < 0)
    return corruption("{}: expected a workspace and seconds of at least 0, got {} and {}", label, plan.workspace_bytes,
                      plan.seconds);
  return plan;
}

}  // namespace

fs::path default_library_plan_file() { return cache_file("gpu-plans.json"); }

Result<LibraryPlanTable> read_library_plans(const fs::path& path, const LibraryPlanKey& key) {
  ESPARSE_ASSIGN_OR_RETURN(const Json tables, read_keyed_tables(path, kFormat));
  LibraryPlanTable result;
  for (const Json& table : tables) {
    if (table["key"] != key_json(key)) continue;
    if (!table["plans"].is_object()) return corruption("{}: plans: expected an object", path.string());
    for (const auto& [product, json] : table["plans"].items()) {
      ESPARSE_ASSIGN_OR_RETURN(result[product], read_plan(json, path.string() + ": " + product));
    }
  }
  return result;
}

Status write_library_plans(const fs::path& path, const LibraryPlanKey& key, const LibraryPlanTable& table) {
  Json plans = Json::object();
  for (const auto& [product, plan] : table)
    plans[product] = {
        {"algorithm", hex_of(plan.algorithm)}, {"workspace_bytes", plan.workspace_bytes}, {"seconds", plan.seconds}};
  return write_keyed_tables(path, kFormat, key_json(key), plans, [&](const JsonFields& old) {
    return old.raw("gpu") == Json(key.gpu) && old.raw("library") == Json(key.library);
  });
}

LibraryPlans::LibraryPlans(fs::path path, LibraryPlanKey key) : path_(std::move(path)), key_(std::move(key)) {
  if (path_.empty()) return;
  auto table = read_library_plans(path_, key_);
  if (table.ok())
    table_ = *std::move(table);
  else
    warnings_.push_back(table.status());
}

const LibraryPlan* LibraryPlans::find(const std::string& product) const {
  const auto place = table_.find(product);
  return place == table_.end() ? nullptr : &place->second;
}

void LibraryPlans::add(const std::string& product, LibraryPlan plan) {
  if (table_.size() >= kMaxPlans) table_.clear();  // it would take very many shapes; they are searched again
  table_[product] = std::move(plan);
  if (path_.empty() || !writable_) return;
  const Status written = write_library_plans(path_, key_, table_);
  if (written.ok()) return;
  writable_ = false;
  warnings_.push_back(written);
}

}  // namespace esparse::cuda
