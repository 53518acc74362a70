// Results of long work, kept on disk under everything that decides them, so that a second run does only what is new.
#pragma once

#include <filesystem>
#include <optional>

#include "base/status.h"
#include "io/json.h"

namespace esparse {

// A directory of small files; any of them may be removed at any time.
class ResultCache {
 public:
  explicit ResultCache(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // What store() was given under an equal key. Nothing where there is none, and where the file is damaged or its name
  // stands for another key: then the work is done again.
  std::optional<Json> find(const Json& key) const;
  // Makes the directory where it is not there.
  Status store(const Json& key, const Json& value) const;

 private:
  std::filesystem::path path_of(const Json& key) const;

  std::filesystem::path directory_;
};

}  // namespace esparse
