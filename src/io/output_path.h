// Where an output directory is going to stand: checks before the work, and the exchange at its end.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace esparse {

// `path` without "." and trailing slashes. Refuses what is no name, a missing parent, and an existing `path` unless
// `force`; with `force`, what may never be replaced: a file, a link, a directory that holds the working directory.
Result<std::filesystem::path> output_path(const std::filesystem::path& path, bool force);

// Renames `filled` (beside `path`) to `path`. An existing directory is moved aside first and removed at the end, with
// `force` and the refusals of output_path(); on failure it is put back.
Status move_to_output(const std::filesystem::path& filled, const std::filesystem::path& path, bool force);

}  // namespace esparse
