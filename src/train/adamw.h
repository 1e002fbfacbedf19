// AdamW (Loshchilov and Hutter 2019) over the trained parameters, and the clipping of their gradients.
#pragma once
#include <vector>

#include "nn/parameter.h"

namespace anneal {

// False for biases and norms, by transformers' rule on names.
bool is_decayed(const std::string& parameter_name);

// The global L2 norm of all gradients, before clipping. Scales them by max_norm / (norm + 1e-6) where that is
// below 1; max_norm 0 leaves them. Does not scale where the norm is not finite.
double clip_gradients(const std::vector<Parameter*>& parameters, double max_norm);

void zero_gradients(const std::vector<Parameter*>& parameters);

class AdamW {
 public:
  AdamW(std::vector<Parameter*> parameters, double weight_decay);
  // Moves the parameters and refreshes their compute copies.
  void step(double learning_rate);

 private:
  struct Group {
    std::vector<at::Tensor> values, gradients, first_moments, second_moments, steps;
    double weight_decay;
  };
  std::vector<Parameter*> parameters_;
  std::vector<Group> groups_;
};

}  // namespace anneal
