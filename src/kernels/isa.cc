#include "kernels/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernels/cpu_features.h"

namespace esparse {
namespace {

std::string forced_isa() {
  const char* value = std::getenv("ESPARSE_ISA");
  return value == nullptr ? "" : value;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::neon:
      return "neon";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
  }
  return "?";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::neon, Isa::portable})
    if (cpu_has(isa)) isas.push_back(isa);
  return isas;
}

Isa current_isa() {
  static const Isa chosen = [] {
    const std::vector<Isa> isas = available_isas();
    const auto forced = std::find_if(isas.begin(), isas.end(), [](Isa isa) { return isa_name(isa) == forced_isa(); });
    return forced == isas.end() ? isas.front() : *forced;
  }();
  return chosen;
}

Status check_isa_choice() {
  const std::string forced = forced_isa();
  if (forced.empty()) return {};
  std::string names;
  for (const Isa isa : available_isas()) {
    if (forced == isa_name(isa)) return {};
    names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  return invalid_argument("ESPARSE_ISA: expected one of {} on this machine, got '{}'", names, forced);
}

}  // namespace esparse
