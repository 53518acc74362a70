#include "cli/calibration_source.h"

#include <algorithm>
#include <filesystem>

#include "cli/commands.h"
#include "text/corpus.h"

namespace esparse {
namespace {

constexpr int64_t kDefaultSeqlen = 2048;  // Wanda, SparseGPT and E-Sparse

}  // namespace

void CalibrationSource::add_options(CLI::App& app) {
  app.add_option("--calib", calib, "Calibration text: plain text, or JSON lines with a field 'text'");
  app.add_option("--samples", samples, "Calibration windows")->capture_default_str()->check(at_least_one());
  app.add_option("--seqlen", seqlen,
                 "Tokens per window (default: 2048, or the model's max_position_embeddings if that is less)")
      ->check(at_least_one());
  app.add_option("--seed", seed, "Seed that draws the windows")->check(not_negative())->capture_default_str();
}

int64_t CalibrationSource::window_tokens(const Model& model) const {
  return seqlen != 0 ? seqlen : std::min(kDefaultSeqlen, model.config().max_positions);
}

Result<std::vector<std::string>> CalibrationSource::documents() const {
  if (calib.empty()) return std::vector<std::string>();
  return read_documents(calib);
}

Result<std::vector<std::vector<int32_t>>> CalibrationSource::windows(const Session& session,
                                                                     const std::vector<std::string>& documents) const {
  if (calib.empty()) return invalid_argument("--calib: this recipe needs a calibration text");
  const int64_t positions = session.model->config().max_positions, length = window_tokens(*session.model);
  if (length > positions)
    return invalid_argument("--seqlen: the model has {} positions (max_position_embeddings), got {}", positions,
                            length);
  return draw_calibration_windows(documents, *session.tokenizer, samples, length, seed, calib);
}

Json CalibrationSource::facts(const Model& model, bool calibrated) const {
  Json json = {{"format", 1}, {"esparse_version", "0.1.0"}};
  if (calibrated)
    json["calibration"] = {{"file", std::filesystem::path(calib).filename().string()},
                           {"samples", samples},
                           {"seqlen", window_tokens(model)},
                           {"seed", seed}};
  return json;
}

}  // namespace esparse
