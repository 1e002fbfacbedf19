#include "nn/dense.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <exception>

namespace anneal {
namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;
using OneDnnLinear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                std::string_view, Scalars, std::optional<std::string_view>);

at::Tensor one_dnn_dense(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O,
                         Activation activation) {
  static const auto linear =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<OneDnnLinear>();
  return linear.call(x_NI, weight_OI, bias_O, activation == Activation::kGelu ? "gelu" : "none", Scalars(),
                     "none");
}

bool one_dnn_works(at::ScalarType type) {
  try {
    const auto ones = at::zeros({16, 16}, type);
    one_dnn_dense(ones, ones, ones[0], Activation::kGelu);
    return true;
  } catch (const std::exception&) {  // built without it, or the processor lacks the instructions
    return false;
  }
}

bool takes_one_dnn(const at::Tensor& x_NI) {
  static const bool bf16 = one_dnn_works(at::kBFloat16);
  static const bool fp32 = one_dnn_works(at::kFloat);
  return x_NI.is_cpu() && (x_NI.scalar_type() == at::kBFloat16 ? bf16 : fp32);
}

}  // namespace

at::Tensor dense(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O,
                 Activation activation) {
  return takes_one_dnn(x_NI) ? one_dnn_dense(x_NI, weight_OI, bias_O, activation)
                             : plain::dense(x_NI, weight_OI, bias_O, activation);
}

at::Tensor plain::dense(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O,
                        Activation activation) {
  const auto y_NO = at::linear(x_NI, weight_OI, bias_O);
  return activation == Activation::kGelu ? at::gelu(y_NO) : y_NO;
}

}  // namespace anneal
