// A linear layer y = x W^T (+ b), with a trainable low-rank update (LoRA, Hu et al. 2021) where one is
// attached: y += scale * B (A drop(x)); with a magnitude too (DoRA, nn/dora.h) also y += (magnitude / norm -
// 1) * (W + scale B A) drop(x), the norm a constant in backward. Forward and backward are written out; there
// is no autograd. Shapes: N tokens, I in features, O out features, R rank.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/dropout.h"
#include "nn/packed_linear.h"
#include "nn/parameter.h"

namespace anneal {

struct Lora {
  Parameter a_RI, b_OR;
  double scale;    // alpha / rank, or what the adapter says
  double dropout;  // on the input of A, in training only; of DoRA on that of W + scale B A
  std::uint64_t module_key;
  std::optional<Parameter> magnitude_O = {};  // of DoRA alone; computes in float32
  at::Tensor weight_squares_O = {};           // of DoRA: of the frozen rows, once they were asked for

  std::vector<Parameter*> parameters();
};

// What backward needs of a forward pass, where there is an adapter.
struct LoraActivations {
  at::Tensor low_rank_NR;           // A drop(x)
  at::Tensor directed_NO, norms_O;  // of DoRA: (W + scale B A) drop(x); the lengths of its rows
};

// What a forward or backward pass needs beside tensors. Evaluation has no row keys, and no dropout.
struct PassContext {
  at::Tensor dropout_row_keys;  // as DropoutKeys has them
  bool training() const { return dropout_row_keys.defined(); }
};

class Linear {
 public:
  std::string name;            // the module path of Hugging Face, e.g. "model.layers.0.self_attn.q_proj"
  at::Tensor weight_OI;        // in the dtype that it is held in; may differ from the compute dtype
  at::Tensor bias_O;           // in the compute dtype; undefined where there is none
  double share_of_tokens = 1;  // that go through it, on average; less than all for an expert's
  Parameter* weight_parameter = nullptr;  // set where the weight itself is trained; not owned
  Parameter* bias_parameter = nullptr;
  std::unique_ptr<Lora> lora;
  std::unique_ptr<PackedLinear> packed;  // of a layer that is used for inference alone: forward takes it

  // Packs weight and adapter as they are now, to be multiplied with inputs of `type`.
  void pack(at::ScalarType type);

  std::int64_t in_features() const { return weight_OI.size(1); }
  std::int64_t out_features() const { return weight_OI.size(0); }
  bool is_trained() const { return weight_parameter != nullptr || lora != nullptr; }
  bool has_magnitude() const { return lora && lora->magnitude_O; }

  at::Tensor forward(const at::Tensor& x_NI, const PassContext& context, LoraActivations& kept) const;

  // Adds to the gradients of what is trained; where dx_NI is given, sets it (if undefined) or adds to it.
  void backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, const LoraActivations& kept,
                const PassContext& context, at::Tensor* dx_NI) const;

  // Of DoRA: the lengths of the rows of W + scale B A, float32. Throws UserError(kModel) where, the first
  // time, one is zero. The weight is there whole.
  at::Tensor row_norms() const;

 private:
  at::Tensor product(const at::Tensor& x_NI, const PassContext& context, LoraActivations& kept) const;
  void lora_backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, const LoraActivations& kept,
                     const PassContext& context, at::Tensor* dx_NI) const;
  at::Tensor row_norms(const at::Tensor& compute_weight_OI) const;
  at::Tensor lora_input(const at::Tensor& x_NI, const PassContext& context) const;
  bool drops(const PassContext& context) const { return context.training() && lora->dropout > 0; }
  DropoutKeys keys(const PassContext& context) const { return {context.dropout_row_keys, lora->module_key}; }
};

// gradient += dy^T x, in float32.
void add_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, at::Tensor& gradient_OI);

}  // namespace anneal
