#include "runtime/kernel_names.h"

#include <fmt/format.h>

#include "kernels/isa.h"

namespace esparse {
namespace {

std::string form_of(const DenseView&) { return "dense"; }
std::string form_of(const NmView& weight) { return weight.pattern.text(); }
std::string form_of(const BitmapView&) { return "bitmap"; }
std::string form_of(const NmTilesView& weight) { return weight.pattern.text() + " tiles"; }

}  // namespace

std::string weight_form(const WeightView& weight) {
  return std::visit([](const auto& view) { return form_of(view); }, weight);
}

std::string kernel_name(const WeightView& weight, LinearPath path) {
  const bool expanded = path == LinearPath::dense_gemm && !std::holds_alternative<DenseView>(weight);
  return fmt::format("{}{} {} {}", path_name(path), expanded ? " on" : "", weight_form(weight),
                     isa_name(current_isa()));
}

}  // namespace esparse
