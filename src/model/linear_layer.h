// One linear of the model: its weight in whatever form it has now, and its bias.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "base/status.h"
#include "io/tensor_store.h"
#include "kernels/linear_group.h"
#include "kernels/linear_plan.h"
#include "sparse/bitmap_matrix.h"
#include "sparse/nm_matrix.h"
#include "sparse/spense_matrix.h"

namespace esparse {

// y = W x + b, W [out_features, in_features]. A view into the checkpoint until the weight is replaced; copies share it.
class LinearLayer {
 public:
  LinearLayer() = default;

  // Reads `<name>.weight` (dense), `<name>.weight.nm_*`, `.bitmap_*` or `.spense_*` (packed), and `<name>.bias` when
  // `has_bias`. Errors name the tensor; a weight that is not f32, f16 or bf16, or has a NaN or infinity, is refused.
  // All of the weight is read once for that, and its pages are released (TensorStore::release_pages).
  static Result<LinearLayer> load(const TensorStore& store, const std::string& name, int64_t out_features,
                                  int64_t in_features, bool has_bias);

  const std::string& name() const { return name_; }
  int64_t out_features() const { return weight_out_features(weight_); }
  int64_t in_features() const { return weight_in_features(weight_); }
  const WeightView& weight() const { return weight_; }
  std::span<const float> bias() const { return bias_; }
  bool is_packed() const { return !std::holds_alternative<DenseView>(weight_); }
  DType dtype() const;
  int64_t weight_bytes() const;  // as it stands now: dense, or what the packed form has

  // x [tokens, in_features], y [tokens, out_features].
  void apply(MatrixView<const float> x, MatrixView<float> y) const;
  // The same as one task of a group; valid as long as this layer is neither changed nor moved.
  LinearTask task(MatrixView<float> y) const { return {&weight_, bias_, y, &plan_}; }

  Matrix<float> weight_as_f32() const;
  // Replaces the weight; `bytes` is row-major [out_features, in_features] of the present dtype.
  void set_dense(std::vector<std::byte> bytes);
  void set_packed(NmMatrix packed);
  void set_packed(BitmapMatrix packed);
  void set_packed(SpenseMatrix packed);
  // Rearranges a packed weight, or the N:M region of one, for the kernels (sparse/nm_tiles.h) where that is worth it;
  // true when it was, and the mapped bytes of it are no longer needed then. A weight that is to be written again must
  // not be rearranged.
  bool arrange_for_running();
  // Which way apply() goes; a changed weight goes back to default_plan().
  const LinearPlan& plan() const { return plan_; }
  void set_plan(const LinearPlan& plan) { plan_ = plan; }
  // Of a dense weight: new row i is old row rows[i], new column k is old column columns[k], and the bias follows the
  // rows; empty = identity.
  void permute(std::span<const int32_t> rows, std::span<const int32_t> columns);

 private:
  void set_weight(const WeightView& weight, std::shared_ptr<const void> owner);

  std::string name_;
  WeightView weight_;
  LinearPlan plan_ = default_plan(WeightView());
  std::vector<float> bias_;
  std::shared_ptr<const void> owner_;  // of what weight_ looks at and the checkpoint does not hold
};

// Reads a whole f32, f16 or bf16 tensor of exactly this shape as f32; refuses NaN and infinity.
Result<std::vector<float>> load_f32(const TensorStore& store, const std::string& name,
                                    const std::vector<int64_t>& shape);

// The first element that is NaN or infinite among `count` of dtype f32, f16 or bf16, or -1.
int64_t find_non_finite(DType dtype, const std::byte* data, int64_t count);

}  // namespace esparse
