// A model that transformers and PEFT compute, in a Python process beside this one: for the families that this
// program has no layers of. Trained weights and gradients lie in memory that both share; samples go there one
// at a time, so that there is no padding, and nothing depends on how a step is cut.
#pragma once
#include <optional>

#include "base/answering_process.h"
#include "base/json.h"
#include "base/shared_memory.h"
#include "models/lora_adapter.h"
#include "train/trainable_model.h"

namespace anneal {

struct TransformersStart {
  std::filesystem::path folder;
  Precision precision;
  c10::Device device;
  std::optional<LoraShape> lora;  // none: all weights are trained
  std::filesystem::path adapter;  // to start from; empty: a fresh one
  std::uint64_t seed;
};

class TransformersModel final : public TrainableModel {
 public:
  // Throws UserError: kResources where Python or a package is missing, kModel where transformers cannot load
  // the model, kUsage for a target that hits nothing.
  explicit TransformersModel(const TransformersStart& start);

  const std::vector<TargetHits>& hits() const { return hits_; }  // of a fresh adapter

  c10::Device device() const override { return device_; }
  std::string kernels() const override;
  std::vector<Parameter*> parameters() const override;
  bool trains_all_weights() const override { return !has_adapter_; }
  bool is_shared() const override { return false; }
  std::int64_t num_parameters() const override { return num_parameters_; }
  std::int64_t num_hidden_layers() const override { return num_hidden_layers_; }
  at::ScalarType saved_dtype() const override { return saved_dtype_; }

  StepLoss forward_backward(const std::vector<SampleView>& pool, const StepPlan& plan, std::uint64_t seed,
                            std::int64_t dropout_step, ProcessGroup& group) override;
  std::vector<SampleScore> score_samples(const std::vector<SampleView>& samples, std::int64_t budget,
                                         ProcessGroup& group,
                                         const std::function<void(std::int64_t)>& progress) override;
  WeightShare share_of_weights(ProcessGroup& group) const override;
  // All layers keep their activations, or none does.
  StepPlan make_plan(const PlanRequest& request, int ranks, std::int64_t free_bytes) const override;
  double measured_gemm_flops_per_second() const override;
  std::string memory_use_text(int ranks, const StepPlan& plan, std::int64_t longest) const override;
  std::optional<StepMemory> step_memory(const MicroBatch&, int) const override { return std::nullopt; }

 private:
  Json ask(const Json& request);
  double flops_of(const SampleView& sample) const;

  AnsweringProcess process_;
  SharedMemory memory_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<TargetHits> hits_;
  std::vector<std::vector<std::int64_t>> linear_shapes_;
  std::int64_t num_parameters_ = 0, num_hidden_layers_ = 0;
  double flops_per_token_ = 0, flops_per_trained_ = 0;  // linear layers and adapters; the head
  Precision precision_;
  c10::Device device_;
  at::ScalarType saved_dtype_;
  bool has_adapter_;
  std::string version_;  // of transformers
};

}  // namespace anneal
