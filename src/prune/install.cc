#include "prune/install.h"

namespace esparse {

Status set_weight(LinearLayer& linear, const Matrix<float>& weight) {
  const DType dtype = linear.dtype();
  std::vector<std::byte> bytes(weight.values().size() * dtype_bytes(dtype));
  convert_from_f32(dtype, weight.values(), bytes.data());
  const auto count = static_cast<int64_t>(weight.values().size());
  if (const int64_t bad = find_non_finite(dtype, bytes.data(), count); bad >= 0)
    return numeric_error("{}: row {}, column {}: the updated weight {} does not fit {}", linear.name(),
                         bad / weight.cols(), bad % weight.cols(), weight.values()[bad], dtype_name(dtype));
  linear.set_dense(std::move(bytes));
  return {};
}

namespace {

Status pack(LinearLayer& linear, const PackTarget& wanted) {
  const PruneTarget& target = wanted.target;
  if (target.kind == TargetKind::dense) return {};
  const auto& dense = std::get<DenseView>(linear.weight());
  const std::span bytes(dense.data, static_cast<size_t>(dense.out_features * dense.row_bytes()));
  if (target.kind == TargetKind::nm) {
    ESPARSE_ASSIGN_OR_RETURN(NmMatrix packed,
                             pack_nm(target.pattern, dense.dtype, bytes, dense.out_features, dense.in_features));
    linear.set_packed(std::move(packed));
    return {};
  }
  if (target.kind == TargetKind::spense) {
    ESPARSE_ASSIGN_OR_RETURN(SpenseMatrix packed,
                             pack_spense(wanted.layout, dense.dtype, bytes, dense.out_features, dense.in_features));
    linear.set_packed(std::move(packed));
    return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(BitmapMatrix packed, pack_bitmap(dense.dtype, bytes, dense.out_features, dense.in_features));
  const BitmapView view = packed.view();
  if (view.values_bytes() + view.bitmask_bytes() < linear.weight_bytes()) linear.set_packed(std::move(packed));
  return {};
}

}  // namespace

int64_t packed_bytes(const PackTarget& wanted, DType dtype, int64_t out_features, int64_t in_features) {
  const auto nm_bytes = [&](int64_t out, int64_t in) {
    const NmView view{.pattern = wanted.target.pattern, .dtype = dtype, .out_features = out, .in_features = in};
    return view.values_bytes() + view.bitmask_bytes();
  };
  const int64_t dense = wanted.layout.dense, width = dtype_bytes(dtype);
  switch (wanted.target.kind) {
    case TargetKind::dense:
      return out_features * in_features * width;
    case TargetKind::nm:
      return nm_bytes(out_features, in_features);
    case TargetKind::spense:
      return wanted.layout.split == SpenseSplit::out
                 ? nm_bytes(out_features - dense, in_features) + dense * in_features * width
                 : nm_bytes(out_features, in_features - dense) + out_features * dense * width;
    case TargetKind::unstructured:
      break;
  }
  ESPARSE_CHECK(false);
}

Status fold_and_pack(DecoderBlock& block, const BlockOrders& orders, const BlockTargets& targets,
                     const ModelConfig& config) {
  apply_channel_orders(block, orders, config);
  for (InputSite site : kInputSites) {
    const auto linears = block.linears_at(site);
    for (size_t index = 0; index < linears.size(); ++index) {
      const Status status = pack(*linears[index], targets[static_cast<size_t>(site)][index]);
      if (!status.ok()) return status.with_context(linears[index]->name());
    }
  }
  return {};
}

}  // namespace esparse
