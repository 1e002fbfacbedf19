#include "engine/test_engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/child_process.h"
#include "checkpoint/converted_model.h"
#include "checkpoint/peft_adapter.h"
#include "checkpoint/staged_folder.h"
#include "generate/vllm_server.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInstallVllm =
    "install it in an environment of its own: python3 -m venv ~/vllm && ~/vllm/bin/pip install vllm, then "
    "give "
    "--vllm_path ~/vllm/bin/vllm; or use --engine native";
constexpr double kPlainLineSeconds = 30;
constexpr std::int64_t kShardBytes = 5'000'000'000;

// What the NVIDIA driver shows, and CUDA_VISIBLE_DEVICES leaves of it.
std::int64_t visible_gpus() {
  const auto is_gpu = [](const fs::directory_entry& entry) {
    const auto name = entry.path().filename().string();
    return name.starts_with("nvidia") && name.size() > 6 &&
           name.find_first_not_of("0123456789", 6) == name.npos;
  };
  std::error_code error;
  const fs::directory_iterator devices("/dev", error);
  const std::int64_t present = std::count_if(begin(devices), end(devices), is_gpu);
  const char* chosen = std::getenv("CUDA_VISIBLE_DEVICES");
  if (chosen == nullptr || present == 0) return present;
  const std::string list = chosen;
  return list.empty() || list == "-1" ? 0 : std::min(present, 1 + std::count(list.begin(), list.end(), ','));
}

// The most GPUs that the attention heads can be dealt out to evenly.
std::int64_t default_tensor_parallel_size(const ModelConfig& config) {
  auto size = std::max<std::int64_t>(visible_gpus(), 1);
  while (config.num_attention_heads % size != 0) --size;
  return size;
}

// Weights stay as they are stored, so that a merged one is rounded once; in float32 it is not to be rounded
// at all.
Precision precision_of(const std::string& dtype) {
  const auto compute = dtype == "auto"      ? resolve_precision({}).compute
                       : dtype == "float32" ? at::kFloat
                                            : at::kBFloat16;
  return {compute, compute == at::kFloat ? std::optional(at::kFloat) : std::nullopt};
}

void complete_natively(const TestRequest& request, const TestModel& tested, const Tokenizer& tokenizer,
                       const std::vector<Prompt>& prompts, int ranks_here, const GenerationEvents& events) {
  CausalLm model(tested.model_folder(), precision_of(request.test.dtype));
  if (tested.checkpoint.is_adapter) {
    load_peft_adapter(model, read_peft_config(tested.checkpoint.folder), tested.checkpoint.folder);
    if (request.test.merge_adapter != "off") merge_lora(model);
  }
  auto options = request.generate;
  options.memory_share = request.test.gpu_memory_utilization / ranks_here;
  events.on_ready();
  generate(model, tokenizer, prompts, options, events.on_completion);
}

VllmLaunch launch_of(const TestRequest& request, const TestModel& tested, const fs::path& folder) {
  const auto config = read_model_config(tested.model_folder());
  VllmLaunch launch{.program = find_program(request.test.vllm_path).value(),
                    .model = tested.model_folder(),
                    .tokenizer = tested.tokenizer_folder(),
                    .adapter = std::nullopt,
                    .dtype = request.test.dtype,
                    .tensor_parallel_size =
                        request.test.tensor_parallel_size.value_or(default_tensor_parallel_size(config)),
                    .max_model_len = std::min(request.generate.max_model_len, config.rope.longest()),
                    .gpu_memory_utilization = request.test.gpu_memory_utilization,
                    .log = folder / "vllm.log"};
  return launch;
}

std::int64_t largest_rank(const LoraShape& shape) {
  auto largest = shape.rank;
  for (const auto& [pattern, rank] : shape.rank_pattern)
    largest = std::max(largest, static_cast<std::int64_t>(rank));
  return largest;
}

// Lets the server apply the adapter, or makes it a merged copy, which lives as long as what is returned.
std::unique_ptr<StagedFolder> launch_with_adapter(const TestRequest& request, const TestModel& tested,
                                                  const fs::path& folder, Console& console,
                                                  VllmLaunch& launch) {
  const auto place = folder / "merged";
  sweep_leftovers(place);
  if (!tested.checkpoint.is_adapter) return nullptr;
  const auto shape = read_any_peft_config(tested.checkpoint.folder).shape;
  const auto rank = largest_rank(shape);
  const bool is_servable = vllm_adapter_rank(rank).has_value() && !shape.use_dora;
  if (request.test.merge_adapter == "off" && !is_servable)
    fail(ExitCode::kUsage,
         shape.use_dora ? "vLLM applies no DoRA adapter"
                        : fmt::format("vLLM applies no adapter of rank {}", rank),
         "--merge_adapter", "leave the flag out, so that the adapter is merged");
  if (request.test.merge_adapter != "on" && is_servable) {
    launch.adapter = {tested.checkpoint.folder, rank};
    return nullptr;
  }
  auto copy = std::make_unique<StagedFolder>(place);
  const auto dtype = request.test.dtype == "float32" ? std::optional(at::kFloat) : std::nullopt;
  const ConvertedModel model(tested.base_model, tested.checkpoint.folder, dtype);
  require_free_space(copy->path(), model.bytes(), "--output_dir");
  console.say(fmt::format("merging the adapter into a copy of {:.1f} GB, deleted at the end",
                          static_cast<double>(model.bytes()) / 1e9));
  model.write(copy->path(), kShardBytes, [](std::size_t, std::int64_t) {});
  launch.model = copy->path();
  return copy;
}

void complete_with(const VllmModel& model, const GenerateOptions& options, const Tokenizer& tokenizer,
                   const std::vector<Prompt>& prompts, const std::function<void()>& check,
                   const GenerationEvents& events) {
  auto stop_ids = tokenizer.stop_ids();
  stop_ids.insert(stop_ids.end(), options.stop_ids.begin(), options.stop_ids.end());
  events.on_ready();
  generate_with_vllm(model, stop_ids, prompts, options, check, events.on_completion);
}

void complete_by_own_server(const TestRequest& request, const TestModel& tested, const Tokenizer& tokenizer,
                            const std::vector<Prompt>& prompts, const fs::path& folder, Console& console,
                            const GenerationEvents& events) {
  auto launch = launch_of(request, tested, folder);
  const auto merged_copy = launch_with_adapter(request, tested, folder, console, launch);
  console.say(fmt::format("starting vLLM; its log: {}", launch.log.string()));
  double next_line = kPlainLineSeconds;
  VllmServer server(launch, [&](double seconds, const std::string& line) {
    const auto text = fmt::format("waiting for vLLM, {:.0f} s: {:.100}", seconds, line);
    console.progress(text);
    if (console.shows_progress() || seconds < next_line) return;
    console.say(text);
    next_line += kPlainLineSeconds;
  });
  complete_with(
      server.model(), request.generate, tokenizer, prompts, [&] { server.check(); }, events);
}

}  // namespace

fs::path TestModel::tokenizer_folder() const {
  return fs::exists(model_folder() / "tokenizer.json") ? model_folder() : base_model;
}

TextEngine choose_engine(const TestOptions& options, bool is_alone,
                         const std::function<void(const std::string&)>& say) {
  if (options.vllm_url) {
    say("engine: the vLLM server at " + *options.vllm_url);
    return TextEngine::kVllm;
  }
  const auto gpus = visible_gpus();
  const auto program = find_program(options.vllm_path);
  const auto wanted = options.tensor_parallel_size.value_or(1);
  if (wanted > 1 && gpus < wanted)
    fail(ExitCode::kResources,
         fmt::format("asks vLLM for {} GPUs, and {}", wanted,
                     gpus == 0 ? "there is none here" : fmt::format("there are {} here", gpus)),
         "--tensor_parallel_size", "leave the flag out");
  if (options.engine == "vllm" && !program)
    fail(ExitCode::kResources, "there is no program \"" + options.vllm_path + "\"", "--engine vllm",
         kInstallVllm);
  if (options.engine == "vllm" || (options.engine == "auto" && program && gpus > 0 && is_alone)) {
    say(fmt::format("engine: vLLM, {}", program->string()));
    return TextEngine::kVllm;
  }
  if (wanted > 1)
    fail(ExitCode::kResources, "tensor parallelism is vLLM's, and vLLM is not installed",
         "--tensor_parallel_size", kInstallVllm);
  if (options.dtype == "float16")
    fail(ExitCode::kUsage, "the native engine computes in bfloat16 or float32", "--dtype",
         "give one of them, or --engine vllm");
  say(options.engine == "native" ? "engine: native"
                                 : fmt::format("engine: native ({}; --engine vllm takes vLLM all the same)",
                                               !is_alone   ? "several processes"
                                               : gpus == 0 ? "there is no GPU here"
                                                           : "vLLM is not installed"));
  return TextEngine::kNative;
}

void complete_prompts(TextEngine engine, const TestRequest& request, const TestModel& tested,
                      const Tokenizer& tokenizer, const std::vector<Prompt>& prompts, const fs::path& folder,
                      int ranks_here, Console& console, const GenerationEvents& events) {
  if (engine == TextEngine::kNative)
    return complete_natively(request, tested, tokenizer, prompts, ranks_here, events);
  if (!request.test.vllm_url)
    return complete_by_own_server(request, tested, tokenizer, prompts, folder, console, events);
  const auto model = find_vllm_model(*request.test.vllm_url, request.test.vllm_model);
  console.say(fmt::format("taking the server's model \"{}\" for the checkpoint", model.name));
  complete_with(
      model, request.generate, tokenizer, prompts, [] {}, events);
}

}  // namespace anneal
