// AdamW (Loshchilov and Hutter 2019) over the trained parameters, and the clipping of their gradients.
#pragma once
#include <vector>

#include "dist/process_group.h"
#include "nn/parameter.h"

namespace anneal {

// False for biases and norms, by transformers' rule on names.
bool is_decayed(const std::string& parameter_name);

// The global L2 norm of all gradients, before clipping. Scales them by max_norm / (norm + 1e-6) where that is
// below 1; max_norm 0 leaves them. Does not scale where the norm is not finite. Of shared parameters each
// rank of `group` has a part.
double clip_gradients(const std::vector<Parameter*>& parameters, double max_norm, ProcessGroup& group);

// Sums the gradients of parameters that every rank has all of.
void reduce_gradients(const std::vector<Parameter*>& parameters, ProcessGroup& group);

void zero_gradients(const std::vector<Parameter*>& parameters);

struct AdamWUpdate {
  double learning_rate, weight_decay;
  std::int64_t count;  // from 1
};

namespace plain {  // the update of one tensor in ATen operations, where torch's fused one does not run
void adamw(at::Tensor& value, const at::Tensor& gradient, at::Tensor& first_moment, at::Tensor& second_moment,
           const AdamWUpdate& update);
}

class AdamW {
 public:
  AdamW(std::vector<Parameter*> parameters, double weight_decay);
  // Moves the parameters and refreshes their compute copies.
  void step(double learning_rate);

  // What a resumed run needs: in the order of the parameters, float32, the shapes of their values; and the
  // number of updates.
  const std::vector<at::Tensor>& first_moments() const { return first_moments_; }
  const std::vector<at::Tensor>& second_moments() const { return second_moments_; }
  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  struct Group {
    std::vector<at::Tensor> values, gradients, first_moments, second_moments;
    double weight_decay;
  };
  std::vector<Parameter*> parameters_;
  std::vector<at::Tensor> first_moments_, second_moments_;
  std::vector<Group> groups_;
  std::int64_t updates_ = 0;
};

}  // namespace anneal
