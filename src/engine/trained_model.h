// The model of a run, made ready to be trained by the engine that --engine names.
#pragma once
#include <memory>
#include <optional>

#include "engine/resume.h"
#include "engine/train_request.h"
#include "models/lora_adapter.h"
#include "train/run_log.h"
#include "train/trainable_model.h"

namespace anneal {

// What samples have to fit.
struct ModelLimits {
  std::int64_t vocab_size, longest;
};
ModelLimits limits_of(const ModelConfig& config);
// Of config.json of any causal language model, by the names that transformers gives them. Throws
// UserError(kModel).
ModelLimits read_model_limits(const std::filesystem::path& folder);

// The adapter that is trained: of the state that the run goes on from, of --init_adapter, or as the flags
// say; nothing for full fine-tuning. `config`: of a native model, whose target names are resolved. Throws
// UserError.
std::optional<LoraShape> adapter_shape(const TrainRequest& request, const RunStart& start,
                                       const ModelConfig* config);

// Adds the adapter, or makes all weights trained; with the weights of the state, where there is one. `group`:
// over which the model is shared, or null. The model outlives what is returned.
std::unique_ptr<TrainableModel> set_up_native(CausalLm& model, const std::optional<LoraShape>& shape,
                                              const TrainRequest& request, const RunStart& start,
                                              ProcessGroup* group, RunLog& log);
// The same by transformers and PEFT, which load the model.
std::unique_ptr<TrainableModel> set_up_transformers(c10::Device device, const std::optional<LoraShape>& shape,
                                                    const TrainRequest& request, const RunStart& start,
                                                    RunLog& log);

}  // namespace anneal
