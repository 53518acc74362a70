// Which steps change the weights around the mask, in the order in which they run: refit, then one of obs, admm, dsnot,
// then descent. Each is a switch of its own.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace esparse {

enum class MaskUpdate { none, obs, admm, dsnot };

struct UpdateSteps {
  bool refit = false;  // dense weights first fitted so that pruned inputs give the dense model's outputs
  MaskUpdate mask_update = MaskUpdate::none;
  bool descent = false;  // mask and values improved together, group by group

  static Result<UpdateSteps> parse(std::string_view text);  // "none", "obs", "refit+obs+descent", ...
  std::string text() const;
  // Those that move weights read the second moments of the inputs; refit in the old order of channels, the others in
  // the new one.
  bool needs_ordered_gram() const {
    return descent || mask_update == MaskUpdate::obs || mask_update == MaskUpdate::admm;
  }
  bool needs_gram() const { return refit || needs_ordered_gram(); }
  bool operator==(const UpdateSteps&) const = default;
};

}  // namespace esparse
