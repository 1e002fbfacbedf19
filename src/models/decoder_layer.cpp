#include "models/decoder_layer.h"

namespace anneal {
namespace {

// From the gradient of a normed tensor to that of the tensor itself, which is added to dx, and of the weight.
void backward_norm(const at::Tensor& dh_NE, const at::Tensor& x_NE, const NormWeight& norm,
                   const at::Tensor& inverse_rms, at::Tensor& dx_NE) {
  add_norm_gradient(norm, dh_NE, x_NE, inverse_rms);
  rms_norm_backward(dh_NE, x_NE, norm.weight_D, inverse_rms, dx_NE, /*accumulate=*/true);
}

}  // namespace

bool DecoderLayer::trains_mlp() const {
  return post_attention_layernorm.parameter || (moe ? moe->is_trained() : mlp.is_trained());
}

at::Tensor DecoderLayer::forward(const ModelConfig& config, const at::Tensor& x_NE, const LayerPass& pass,
                                 LayerActivations* keep) const {
  LayerActivations local;
  LayerActivations& a = keep ? *keep : local;
  a.input_NE = x_NE;
  const auto norm_of = [&](const at::Tensor& x, const NormWeight& norm) {
    return normed(x, norm, config.rms_norm_eps).y;
  };
  a.after_attention_NE =
      attention.forward(config, norm_of(x_NE, input_layernorm), pass, a.attention).add_(x_NE);
  const auto h_NE = norm_of(a.after_attention_NE, post_attention_layernorm);
  auto y_NE =
      moe ? moe->forward(h_NE, pass.context, a.moe, pass.balance) : mlp.forward(h_NE, pass.context, a.mlp);
  return y_NE.add_(a.after_attention_NE);
}

void DecoderLayer::backward_mlp(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                                const LayerPass& pass, bool wants_input_gradient) const {
  const auto h = normed(kept.after_attention_NE, post_attention_layernorm, config.rms_norm_eps);
  at::Tensor dh;
  at::Tensor* wanted = wants_input_gradient || post_attention_layernorm.parameter ? &dh : nullptr;
  if (moe)
    moe->backward(dx_NE, h.y, kept.moe, pass.context, wanted, pass.balance);
  else
    mlp.backward(dx_NE, h.y, kept.mlp, pass.context, wanted);
  if (wanted) backward_norm(dh, kept.after_attention_NE, post_attention_layernorm, h.inverse_rms, dx_NE);
}

void DecoderLayer::backward_attention(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                                      const LayerPass& pass, bool wants_input_gradient) const {
  const auto h = normed(kept.input_NE, input_layernorm, config.rms_norm_eps);
  at::Tensor dh;
  at::Tensor* wanted = wants_input_gradient || input_layernorm.parameter ? &dh : nullptr;
  attention.backward(config, dx_NE, h.y, kept.attention, pass, wanted);
  if (wanted) backward_norm(dh, kept.input_NE, input_layernorm, h.inverse_rms, dx_NE);
}

void DecoderLayer::backward(const ModelConfig& config, at::Tensor& dx_NE, LayerActivations& kept,
                            const LayerPass& pass, bool wants_input_gradient) const {
  const bool below_mlp = wants_input_gradient || trains_attention();
  if (below_mlp || trains_mlp()) backward_mlp(config, dx_NE, kept, pass, below_mlp);
  if (below_mlp) backward_attention(config, dx_NE, kept, pass, wants_input_gradient);
  kept = LayerActivations();
  if (!wants_input_gradient) dx_NE.reset();
}

}  // namespace anneal
