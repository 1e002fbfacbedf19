#include "nn/plain_forms.h"

#include <ATen/WrapDimUtils.h>
#include <torch/library.h>

#include <utility>

namespace anneal {
namespace {

thread_local unsigned plain_kernels = 0;  // a bit each

unsigned bit_of(Kernel kernel) { return 1U << static_cast<unsigned>(kernel); }

at::Tensor index_select_shape(const at::Tensor& self, std::int64_t dim, const at::Tensor& index) {
  auto sizes = self.sizes().vec();
  sizes.at(at::maybe_wrap_dim(dim, self.dim())) = index.numel();
  return self.new_empty(sizes);
}

}  // namespace

bool runs_kernel(Kernel kernel, const at::Tensor& x) { return x.is_cpu() && !wants_plain_form(kernel); }

bool wants_plain_form(Kernel kernel) { return (plain_kernels & bit_of(kernel)) != 0; }

PlainForms::PlainForms() : before_(std::exchange(plain_kernels, ~0U)) {}

PlainForms::PlainForms(Kernel kernel)
    : before_(std::exchange(plain_kernels, plain_kernels | bit_of(kernel))) {}

PlainForms::~PlainForms() { plain_kernels = before_; }

// Shapes for the meta device, where torch has them in Python alone.
TORCH_LIBRARY_IMPL(aten, Meta, kernels) { kernels.impl("index_select", index_select_shape); }

}  // namespace anneal
