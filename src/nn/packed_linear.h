// A linear layer for inference: its weight lies in the order in which the product reads it, so that a few
// rows cost one pass over the weight and no more. A row of the result depends on that row of the input alone,
// bit for bit. Shapes: N rows, I in features, O out features, R rank.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace anneal {

class PackedLinear {
 public:
  // Packs weight_OI in `type` (float32 or bfloat16).
  PackedLinear(const at::Tensor& weight_OI, at::ScalarType type);

  // Adds a low-rank update to the layer: y += scale * B (A x). Its sum joins that of the weight before the
  // one rounding of the result.
  void add_low_rank(const at::Tensor& a_RI, const at::Tensor& b_OR, double scale);

  // y *= factor_O, before that rounding: the float32 factor of each column.
  void scale_outputs(const at::Tensor& factor_O);

  // y_NO in `out_type`: the packed type, or float32. x_NI is contiguous and of the packed type.
  at::Tensor forward(const at::Tensor& x_NI, at::ScalarType out_type) const;
  at::Tensor forward(const at::Tensor& x_NI) const { return forward(x_NI, type_); }

  std::int64_t in_features() const { return in_features_; }

 private:
  at::ScalarType type_;
  std::int64_t in_features_, out_features_;
  at::Tensor blocks_;                    // [ceil(O / 64)] packed operands of I x 64
  std::shared_ptr<PackedLinear> low_a_;  // A, so that its product is one of these too
  at::Tensor low_b_blocks_;              // [ceil(O / 64)] packed operands of R x 64
  double low_scale_ = 0;
  at::Tensor factor_O_;  // undefined where there is none
};

}  // namespace anneal
