#include "model/decoder_block.h"

namespace esparse {

std::string_view input_site_name(InputSite site) {
  switch (site) {
    case InputSite::attention:
      return "attention";
    case InputSite::output:
      return "output";
    case InputSite::mlp:
      return "mlp";
    case InputSite::down:
      return "down";
  }
  return "?";
}

std::vector<LinearLayer*> DecoderBlock::linears_at(InputSite site) {
  switch (site) {
    case InputSite::attention:
      return {&q, &k, &v};
    case InputSite::output:
      return {&o};
    case InputSite::mlp:
      return has_gate ? std::vector<LinearLayer*>{&gate, &up} : std::vector<LinearLayer*>{&up};
    case InputSite::down:
      return {&down};
  }
  return {};
}

std::vector<const LinearLayer*> DecoderBlock::linears_at(InputSite site) const {
  const auto linears = const_cast<DecoderBlock*>(this)->linears_at(site);
  return {linears.begin(), linears.end()};
}

}  // namespace esparse
