// The model of a run, as the training loop sees it: trained parameters, and someone who computes losses and
// adds to the parameters' gradients.
#pragma once
#include <c10/core/Device.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/weight_share.h"
#include "eval/score.h"
#include "plan/step_plan.h"
#include "train/resources.h"
#include "train/step.h"

namespace anneal {

class TrainableModel {
 public:
  virtual ~TrainableModel() = default;

  virtual c10::Device device() const = 0;
  virtual std::string kernels() const = 0;  // who computes, and in what precision, for people
  virtual std::vector<Parameter*> parameters() const = 0;
  virtual bool trains_all_weights() const = 0;      // else an adapter
  virtual bool is_shared() const = 0;               // over the ranks
  virtual std::int64_t num_parameters() const = 0;  // of the base model
  virtual std::int64_t num_hidden_layers() const = 0;
  virtual at::ScalarType saved_dtype() const = 0;  // of the weights of a full fine-tune

  // As the functions of these names do (train/step.h, eval/score.h, checkpoint/weight_share.h, plan/,
  // train/resources.h).
  virtual StepLoss forward_backward(const std::vector<SampleView>& pool, const StepPlan& plan,
                                    std::uint64_t seed, std::int64_t dropout_step, ProcessGroup& group) = 0;
  virtual std::vector<SampleScore> score_samples(const std::vector<SampleView>& samples, std::int64_t budget,
                                                 ProcessGroup& group,
                                                 const std::function<void(std::int64_t)>& progress) = 0;
  virtual WeightShare share_of_weights(ProcessGroup& group) const = 0;
  virtual StepPlan make_plan(const PlanRequest& request, int ranks, std::int64_t free_bytes) const = 0;
  virtual double measured_gemm_flops_per_second() const = 0;
  virtual std::string memory_use_text(int ranks, const StepPlan& plan, std::int64_t longest) const = 0;
  // Nothing where it is not known.
  virtual std::optional<StepMemory> step_memory(const MicroBatch& batch, int ranks) const = 0;
};

}  // namespace anneal
