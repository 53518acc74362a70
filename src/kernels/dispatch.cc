// The only place that asks what the CPU can do.
#include <cstdlib>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/row_kernels.h"

namespace esparse {
namespace {

std::vector<const RowKernels*> available_tables() {  // best first
  std::vector<const RowKernels*> tables;
  if (const RowKernels* avx2 = avx2_row_kernels()) tables.push_back(avx2);
  tables.push_back(&kPortableRowKernels);
  return tables;
}

std::string forced_isa() {
  const char* value = std::getenv("ESPARSE_ISA");
  return value == nullptr ? "" : value;
}

const RowKernels& choose() {
  const auto tables = available_tables();
  const std::string forced = forced_isa();
  for (const RowKernels* table : tables)
    if (forced == table->isa) return *table;
  return *tables.front();
}

}  // namespace

const RowKernels& row_kernels() {
  static const RowKernels& chosen = choose();
  return chosen;
}

Status check_isa_choice() {
  const std::string forced = forced_isa();
  if (forced.empty()) return {};
  std::string names;
  for (const RowKernels* table : available_tables()) {
    if (forced == table->isa) return {};
    names += names.empty() ? table->isa : std::string(", ") + table->isa;
  }
  return invalid_argument("ESPARSE_ISA: expected one of {} on this machine, got '{}'", names, forced);
}

}  // namespace esparse
