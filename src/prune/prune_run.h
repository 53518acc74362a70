// A pruning run from a loaded model to a finished directory: blocks are written as they are done, and an interrupted
// run goes on after the last finished block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "io/resumable_directory.h"
#include "model/model.h"
#include "prune/prune_model.h"

namespace esparse {

struct PruneRunInputs {
  std::vector<std::vector<int32_t>> windows;  // calibration; empty when the recipe needs none
  Json facts;                                 // written into esparse.json beside recipe and linears
  std::filesystem::path tokenizer_file;
  bool one_site_at_a_time = false;
  PruneDevice device = {};
  std::string figures_of = {};  // the linear whose pictures are kept in kFiguresFile; empty: none
};

// Beside esparse.json in the result: LayerFigures of one linear, for reports.
inline constexpr const char* kFiguresFile = "esparse-figures.json";

// The linear that a report looks into when nobody says which: the last of the middle block, whose inputs differ most
// from channel to channel, or else the first that the recipe prunes; empty when it prunes none.
std::string default_figures_linear(const Model& model, const Recipe& recipe);

// Of the configuration and the beginning of every tensor.
uint64_t model_fingerprint(const Model& model);
// Of everything that decides the result of a run; of the weights as model_fingerprint().
uint64_t run_fingerprint(const Model& model, const Recipe& recipe, const PruneRunInputs& inputs);

// Refuses a directory that holds finished blocks of an interrupted run, unless they are to be taken over or thrown
// away.
Status check_interrupted(const ResumableDirectory& directory, bool resume, bool start_over);

// Prunes into `directory`, an open working directory, and commits it. With `resume` what an interrupted run with the
// same model, recipe and windows left there is taken over; without it, leftovers are removed. The result is the same
// bytes however often the run was interrupted. Every finished block frees its memory, so the model is of no use
// afterwards. On failure finished blocks stay where they are; when there are none, nothing stays.
Result<PruneReport> run_pruning(Model& model, const Recipe& recipe, const PruneRunInputs& inputs,
                                ResumableDirectory& directory, bool resume);

}  // namespace esparse
