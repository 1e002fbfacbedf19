// The two that can write the texts of a test: this program, and vLLM.
#pragma once
#include <filesystem>
#include <functional>
#include <vector>

#include "base/console.h"
#include "checkpoint/find_checkpoint.h"
#include "engine/test_request.h"
#include "generate/generate.h"

namespace anneal {

enum class TextEngine { kNative, kVllm };

// Resolves --engine auto, and says so. Throws UserError(kResources) where what was asked for is not here:
// vLLM, or GPUs for tensor parallelism.
// Several ranks take this program.
TextEngine choose_engine(const TestOptions& options, bool is_alone,
                         const std::function<void(const std::string&)>& say);

struct TestModel {
  FoundCheckpoint checkpoint;
  std::filesystem::path base_model;
  // Whose config.json, weights and tokenizer count: the base model's under an adapter, else the checkpoint's.
  std::filesystem::path model_folder() const {
    return checkpoint.is_adapter ? base_model : checkpoint.folder;
  }
  // An adapter's own copy lacks generation_config.json, which names tokens to stop at.
  std::filesystem::path tokenizer_folder() const;
};

struct GenerationEvents {
  std::function<void()> on_ready;  // the model is loaded
  std::function<void(Completion)> on_completion;
};

// Loads the model and completes the prompts. `folder` takes what vLLM prints; `ranks_here` share the memory
// of this machine.
void complete_prompts(TextEngine engine, const TestRequest& request, const TestModel& model,
                      const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                      const std::filesystem::path& folder, int ranks_here, Console& console,
                      const GenerationEvents& events);

}  // namespace anneal
