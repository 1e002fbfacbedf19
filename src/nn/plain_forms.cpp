#include "nn/plain_forms.h"

#include <ATen/WrapDimUtils.h>
#include <torch/library.h>

#include <utility>

namespace anneal {
namespace {

thread_local bool is_alive = false;

at::Tensor index_select_shape(const at::Tensor& self, std::int64_t dim, const at::Tensor& index) {
  auto sizes = self.sizes().vec();
  sizes.at(at::maybe_wrap_dim(dim, self.dim())) = index.numel();
  return self.new_empty(sizes);
}

}  // namespace

bool runs_kernels(const at::Tensor& x) { return x.is_cpu() && !wants_plain_forms(); }

bool wants_plain_forms() { return is_alive; }

PlainForms::PlainForms() : before_(std::exchange(is_alive, true)) {}

PlainForms::~PlainForms() { is_alive = before_; }

// Shapes for the meta device, where torch has them in Python alone.
TORCH_LIBRARY_IMPL(aten, Meta, kernels) { kernels.impl("index_select", index_select_shape); }

}  // namespace anneal
