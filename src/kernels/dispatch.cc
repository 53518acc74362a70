// The only place that asks what the CPU can do.
#include <cstdlib>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/row_kernels.h"
#include "kernels/shuffle_kernels.h"

namespace esparse {
namespace {

// The tables of one kind that this machine has, best first.
template <typename Table>
std::vector<const Table*> available_tables(const Table* avx2, const Table& portable) {
  std::vector<const Table*> tables;
  if (avx2 != nullptr) tables.push_back(avx2);
  tables.push_back(&portable);
  return tables;
}

std::vector<const RowKernels*> available_row_kernels() {
  return available_tables(avx2_row_kernels(), kPortableRowKernels);
}

std::string forced_isa() {
  const char* value = std::getenv("ESPARSE_ISA");
  return value == nullptr ? "" : value;
}

template <typename Table>
const Table& choose(const std::vector<const Table*>& tables) {
  const std::string forced = forced_isa();
  for (const Table* table : tables)
    if (forced == table->isa) return *table;
  return *tables.front();
}

}  // namespace

const RowKernels& row_kernels() {
  static const RowKernels& chosen = choose(available_row_kernels());
  return chosen;
}

const ShuffleKernels& shuffle_kernels() {
  static const ShuffleKernels& chosen = choose(available_tables(avx2_shuffle_kernels(), kPortableShuffleKernels));
  return chosen;
}

Status check_isa_choice() {
  const std::string forced = forced_isa();
  if (forced.empty()) return {};
  std::string names;
  for (const RowKernels* table : available_row_kernels()) {
    if (forced == table->isa) return {};
    names += names.empty() ? table->isa : std::string(", ") + table->isa;
  }
  return invalid_argument("ESPARSE_ISA: expected one of {} on this machine, got '{}'", names, forced);
}

}  // namespace esparse
