#include "gpu/rotary_table.h"

#include "kernels/elementwise.h"

namespace esparse {

Result<RotaryTable> RotaryTable::upload(Device& device, const ModelConfig& config, int64_t positions) {
  RotaryTable table;
  table.positions = positions;
  const auto& frequencies = config.rope.inverse_frequencies;
  if (frequencies.empty()) return table;
  const RotaryAngles angles = rotary_angles(frequencies, 0, positions, config.rope.attention_scale);
  ESPARSE_ASSIGN_OR_RETURN(table.cosine, device.upload(std::as_bytes(angles.cosine.values()), "angles of positions"));
  ESPARSE_ASSIGN_OR_RETURN(table.sine, device.upload(std::as_bytes(angles.sine.values()), "angles of positions"));
  ESPARSE_RETURN_IF_ERROR(device.synchronize());
  return table;
}

}  // namespace esparse
