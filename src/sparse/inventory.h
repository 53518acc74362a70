// What a checkpoint holds, tensor by tensor, with packed weights as one entry.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/tensor_store.h"

namespace esparse {

struct InventoryEntry {
  std::string name;            // of the dense tensor: "model.layers.0.mlp.up_proj.weight"
  std::vector<int64_t> shape;  // of the dense tensor
  std::string format;          // "BF16", "2:4 BF16", "bitmap BF16", "spense 2:4 + 96 dense rows BF16"
  double density = 1;          // non-zero elements / elements
  int64_t bytes_dense = 0;     // the tensor stored dense in its own type
  int64_t bytes_now = 0;
  bool packed = false;
};

struct Inventory {
  std::vector<InventoryEntry> entries;  // by name
  int64_t bytes_dense = 0, bytes_now = 0;
  int64_t elements = 0, nonzero = 0;
};

// Reads every tensor once to count its non-zero elements. Errors are those of load_nm(), load_bitmap() and
// load_spense().
Result<Inventory> take_inventory(const TensorStore& store);

}  // namespace esparse
