// A model of ours in training.
#pragma once
#include "models/trained_shape.h"
#include "train/trainable_model.h"

namespace anneal {

class NativeModel final : public TrainableModel {
 public:
  // Of a model whose adapters or parameters are there.
  explicit NativeModel(CausalLm& model) : model_(model) {}

  c10::Device device() const override { return model_.device; }
  std::string kernels() const override;
  std::vector<Parameter*> parameters() const override { return model_.parameters(); }
  bool trains_all_weights() const override { return !model_.full_parameters.empty(); }
  bool is_shared() const override { return model_.is_shared(); }
  std::int64_t num_parameters() const override { return model_.num_parameters(); }
  std::int64_t num_hidden_layers() const override { return model_.config.num_hidden_layers; }
  at::ScalarType saved_dtype() const override {
    return model_.precision.base.value_or(model_.stored_dtype());
  }

  StepLoss forward_backward(const std::vector<SampleView>& pool, const StepPlan& plan, std::uint64_t seed,
                            std::int64_t dropout_step, ProcessGroup& group) override {
    return anneal::forward_backward(model_, pool, plan, seed, dropout_step, group);
  }
  std::vector<SampleScore> score_samples(const std::vector<SampleView>& samples, std::int64_t budget,
                                         ProcessGroup& group,
                                         const std::function<void(std::int64_t)>& progress) override {
    return anneal::score_samples(model_, samples, budget, group, progress);
  }
  WeightShare share_of_weights(ProcessGroup& group) const override {
    return anneal::share_of_weights(model_, saved_dtype(), group);
  }
  StepPlan make_plan(const PlanRequest& request, int ranks, std::int64_t free_bytes) const override {
    return anneal::make_plan(shape_of(model_), setup_of(model_, ranks), request, free_bytes);
  }
  double measured_gemm_flops_per_second() const override {
    return anneal::measured_gemm_flops_per_second(model_);
  }
  std::string memory_use_text(int ranks, const StepPlan& plan, std::int64_t longest) const override {
    return anneal::memory_use_text(model_, ranks, plan, longest);
  }
  std::optional<StepMemory> step_memory(const MicroBatch& batch, int ranks) const override {
    return anneal::step_memory(shape_of(model_), setup_of(model_, ranks), batch);
  }

 private:
  CausalLm& model_;
};

}  // namespace anneal
