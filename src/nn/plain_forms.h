// Where an op runs: in the processor's kernels, or in its plain form of ATen operations, which is what it
// means and runs on any device.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

// True for a tensor of the processor, unless a PlainForms lives.
bool runs_kernels(const at::Tensor& x);

bool wants_plain_forms();  // whether one lives

// While one lives, every op that has kernels runs in its plain form: the oracle of a whole step. Of one
// thread.
class PlainForms {
 public:
  PlainForms();
  ~PlainForms();
  PlainForms(const PlainForms&) = delete;
  PlainForms& operator=(const PlainForms&) = delete;

 private:
  bool before_;
};

}  // namespace anneal
