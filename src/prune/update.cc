#include "prune/update.h"

namespace esparse {
namespace {

std::string_view mask_update_name(MaskUpdate update) {
  switch (update) {
    case MaskUpdate::none:
      return "";
    case MaskUpdate::obs:
      return "obs";
    case MaskUpdate::admm:
      return "admm";
    case MaskUpdate::dsnot:
      return "dsnot";
  }
  return "";
}

}  // namespace

Result<UpdateSteps> UpdateSteps::parse(std::string_view text) {
  for (const bool refit : {false, true})
    for (const bool descent : {false, true})
      for (const MaskUpdate update : {MaskUpdate::none, MaskUpdate::obs, MaskUpdate::admm, MaskUpdate::dsnot}) {
        const UpdateSteps steps{refit, update, descent};
        if (steps.text() == text) return steps;
      }
  return invalid_argument(
      "update {:?}: expected none, or in this order, joined by '+': refit, one of obs, admm, dsnot, descent; such as "
      "obs or refit+obs+descent",
      text.substr(0, 40));
}

std::string UpdateSteps::text() const {
  std::string text;
  const auto add = [&](std::string_view step) {
    if (step.empty()) return;
    if (!text.empty()) text += '+';
    text += step;
  };
  if (refit) add("refit");
  add(mask_update_name(mask_update));
  if (descent) add("descent");
  return text.empty() ? "none" : text;
}

}  // namespace esparse
