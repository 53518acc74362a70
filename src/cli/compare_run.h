// What `esparse compare` does: prunes a model in several ways, measures each result the same way beside the dense
// model, and keeps what is done for the next run.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/engine_rows.h"
#include "cli/calibration_source.h"
#include "cli/compare_candidates.h"
#include "cli/plan_options.h"
#include "cli/text_source.h"
#include "report/comparison.h"
#include "report/report.h"

namespace esparse {

struct CompareJob {
  std::string model, tokenizer;
  std::filesystem::path work;  // made if it is not there; a model directory for each candidate, and results/
  std::vector<CompareCandidate> candidates;
  CalibrationSource calibration;
  TextSource text;
  TaskSource tasks;
  PlanOptions plan;
  EngineBenchOptions bench;  // token counts of 0: as the model's positions allow
  bool timed = true;
  bool quiet = false;  // nothing on standard error about what is being done
};

struct PrunedModel {
  std::filesystem::path directory;
  std::map<std::string, double> linear_seconds;  // by name; empty where they are unknown
};

struct CompareOutcome {
  std::vector<ComparedModel> models;          // by accuracy
  std::map<std::string, PrunedModel> pruned;  // by name
  NamedTexts conditions;
  bool complete = true;  // false: interrupted; `models` has those that were done by then
};

Result<CompareOutcome> run_comparison(const CompareJob& job);

// The page of it: all models, and the inside of the most accurate pruned one.
Result<Report> report_of_comparison(const CompareOutcome& outcome, const std::filesystem::path& model);

}  // namespace esparse
