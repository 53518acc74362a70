// JSON from strangers: no exceptions escape, duplicate keys are refused, depth is at most 128; typed fields with errors
// that say which file and which key.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace esparse {

using Json = nlohmann::json;

// `label` (a path) begins every error message.
Result<Json> parse_json(std::string_view text, const std::string& label);
Result<Json> read_json(const std::filesystem::path& path);

// Typed view of one object, which must outlive it; every error names label and key. Absent and null are the same
// thing. A document that is no object is an error of the first required key.
class JsonFields {
 public:
  JsonFields(const Json& object, std::string label) : object_(object), label_(std::move(label)) {}

  const std::string& label() const { return label_; }
  bool has(std::string_view key) const;
  const Json& raw(std::string_view key) const;  // a null value when absent

  Result<int64_t> integer(std::string_view key) const;  // required
  Result<int64_t> integer(std::string_view key, int64_t fallback) const;
  Result<double> number(std::string_view key) const;
  Result<double> number(std::string_view key, double fallback) const;
  Result<bool> boolean(std::string_view key, bool fallback) const;
  Result<std::string> string(std::string_view key) const;
  Result<std::string> string(std::string_view key, std::string_view fallback) const;

 private:
  Status missing(std::string_view key) const;
  Status mismatch(std::string_view key, std::string_view expected) const;

  const Json& object_;
  std::string label_;
};

}  // namespace esparse
