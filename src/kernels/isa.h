// Which instruction set the kernels use, and how a family of kernels (a struct of function pointers) is found for it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace esparse {

// On one processor family a later one contains all earlier ones.
enum class Isa {
  portable,     // plain C++
  neon,         // AArch64
  avx2,         // AVX2, FMA, F16C
  avx512,       // AVX-512 F, BW, DQ, VL
  avx512_bf16,  // and BF16, VBMI, VBMI2
};

std::string_view isa_name(Isa isa);  // "avx512_bf16"

// What this machine has, best first; the last one is `portable`.
std::vector<Isa> available_isas();

// The best of this machine, or the one that ESPARSE_ISA names in the environment (an unknown or unavailable name is
// ignored here and refused by check_isa_choice). Chosen once.
Isa current_isa();

// Whether ESPARSE_ISA can be honoured; the error lists what this machine has.
Status check_isa_choice();

// A family of kernels is a struct `Table` of function pointers, one instance per instruction set it is written for.
template <typename Table>
struct TableEntry {
  Isa isa;
  const Table* table;
};

// All tables of a family in this build, best first, portable last. Specialised once per processor family:
// x86/tables.cc, arm/tables.cc, portable/tables.cc.
template <typename Table>
std::span<const TableEntry<Table>> all_tables();

// The best table that needs no more than `isa`.
template <typename Table>
const Table& kernels_for(Isa isa) {
  const auto tables = all_tables<Table>();
  for (const auto& entry : tables)
    if (entry.isa <= isa) return *entry.table;
  return *tables.back().table;
}

// Every table that this machine can run, for tests and benchmarks.
template <typename Table>
std::vector<const Table*> usable_tables() {
  std::vector<const Table*> usable;
  for (const auto& entry : all_tables<Table>())
    if (entry.isa <= available_isas().front()) usable.push_back(entry.table);
  return usable;
}

// The table in use.
template <typename Table>
const Table& kernels() {
  static const Table& chosen = kernels_for<Table>(current_isa());
  return chosen;
}

}  // namespace esparse
