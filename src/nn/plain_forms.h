// Where an op runs: in the processor's kernels, or in its plain form of ATen operations, which is what it
// means and runs on any device.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

enum class Kernel {
  kAttention,
  kBlockGemm,
  kCrossEntropy,
  kDora,
  kDropout,
  kOptimizer,
  kRmsNorm,
  kRotary,
  kSwiglu
};
inline constexpr Kernel kAllKernels[] = {Kernel::kAttention, Kernel::kBlockGemm, Kernel::kCrossEntropy,
                                         Kernel::kDora,      Kernel::kDropout,   Kernel::kOptimizer,
                                         Kernel::kRmsNorm,   Kernel::kRotary,    Kernel::kSwiglu};

// True for a tensor of the processor, unless a PlainForms of the kernel lives.
bool runs_kernel(Kernel kernel, const at::Tensor& x);

bool wants_plain_form(Kernel kernel);  // whether one lives

// While one lives, ops that have kernels run in their plain form: all of them, the oracle of a whole step, or
// those of one kernel. Of one thread.
class PlainForms {
 public:
  PlainForms();
  explicit PlainForms(Kernel kernel);
  ~PlainForms();
  PlainForms(const PlainForms&) = delete;
  PlainForms& operator=(const PlainForms&) = delete;

 private:
  unsigned before_;
};

}  // namespace anneal
