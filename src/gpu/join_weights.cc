#include "gpu/join_weights.h"

#include <algorithm>
#include <vector>

namespace esparse {
namespace {

template <typename Byte>
void append(std::vector<Byte>& target, const Byte* source, int64_t count) {
  target.insert(target.end(), source, source + count);
}

struct JoinedDense {
  std::vector<std::byte> bytes;
};

JoinedWeight join(std::span<const DenseView> parts) {
  const auto owned = std::make_shared<JoinedDense>();
  DenseView view = parts[0];
  view.out_features = 0;
  for (const DenseView& part : parts) {
    append(owned->bytes, part.data, part.out_features * part.row_bytes());
    view.out_features += part.out_features;
  }
  view.data = owned->bytes.data();
  return {view, owned};
}

JoinedWeight join(std::span<const NmView> parts) {
  const auto owned = std::make_shared<NmMatrix>();
  owned->pattern = parts[0].pattern, owned->dtype = parts[0].dtype, owned->in_features = parts[0].in_features;
  for (const NmView& part : parts) {
    append(owned->values, part.values, part.values_bytes());
    append(owned->bitmask, part.bitmask, part.bitmask_bytes());
    owned->out_features += part.out_features;
  }
  return {owned->view(), owned};
}

JoinedWeight join(std::span<const BitmapView> parts) {
  const auto owned = std::make_shared<BitmapMatrix>();
  owned->dtype = parts[0].dtype, owned->in_features = parts[0].in_features;
  owned->row_offsets = {0};
  for (const BitmapView& part : parts) {
    const int64_t before = owned->row_offsets.back();
    append(owned->values, part.values, part.values_bytes());
    append(owned->bitmask, part.bitmask, part.bitmask_bytes());
    for (int64_t row = 1; row <= part.out_features; ++row) owned->row_offsets.push_back(before + part.row_offsets[row]);
    owned->out_features += part.out_features;
  }
  return {owned->view(), owned};
}

bool alike(const DenseView&, const DenseView&) { return true; }
bool alike(const BitmapView&, const BitmapView&) { return true; }
bool alike(const NmView& a, const NmView& b) { return a.pattern == b.pattern; }

template <typename View>
std::optional<JoinedWeight> join_as(std::span<const WeightView> weights) {
  std::vector<View> parts;
  for (const WeightView& weight : weights) {
    const auto* part = std::get_if<View>(&weight);
    if (part == nullptr) return std::nullopt;
    if (!parts.empty() &&
        (part->dtype != parts[0].dtype || part->in_features != parts[0].in_features || !alike(*part, parts[0])))
      return std::nullopt;
    parts.push_back(*part);
  }
  return join(std::span<const View>(parts));
}

}  // namespace

std::optional<JoinedWeight> join_weights(std::span<const WeightView> weights) {
  if (auto joined = join_as<DenseView>(weights)) return joined;
  if (auto joined = join_as<NmView>(weights)) return joined;
  return join_as<BitmapView>(weights);
}

}  // namespace esparse
