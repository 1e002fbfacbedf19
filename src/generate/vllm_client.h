// Text from a running vLLM server, through its OpenAI-compatible interface.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "generate/generate.h"

namespace anneal {

// A model that a server offers.
struct VllmModel {
  std::string url;  // of the server, without a path
  std::string name;
  std::optional<std::int64_t> max_model_len;
};

// `name`: the model to take where the server has several. Throws UserError(kDistributed) where the server
// does not answer, and UserError(kUsage) that lists its models where the name does not choose one.
VllmModel find_vllm_model(std::string url, const std::optional<std::string>& name);

// What generate() does, by a server: a request a prompt, options.batch_size of them at a time, so that the
// server's own batching is never idle and each prompt has a seed of its own. Requests that fail are sent
// again, some times; then throws UserError(kDistributed). `check` is called now and then and may throw.
void generate_with_vllm(const VllmModel& model, const std::vector<std::int32_t>& stop_ids,
                        const std::vector<Prompt>& prompts, const GenerateOptions& options,
                        const std::function<void()>& check,
                        const std::function<void(Completion)>& on_completion);

}  // namespace anneal
