// What tests and benchmarks ask of the generation engine, on given ids.
//
//   generate_probe REQUEST.json
//
// {"model": folder, "adapter": folder or null, "compute_dtype": "fp32" | "bf16", "prompts": [[ids], ...],
//  "options": {of GenerateOptions}, "stop": [texts], "memory_share": x, "output": "file.json"}
//
// Writes {"completions": [{"index", "ids", "text", "finish_reason"} in the order of the prompts], "seconds"
// of generation, "packing_seconds"}.
#include <chrono>
#include <cstdio>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/options.h"
#include "checkpoint/peft_adapter.h"
#include "generate/generate.h"

namespace anneal {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void run(const Json& request) {
  const std::string folder = request.at("model");
  ModelOptions model_options;
  model_options.compute_dtype = request.at("compute_dtype");
  CausalLm model(folder, resolve_precision(model_options));
  if (request.contains("adapter") && !request["adapter"].is_null()) {
    const std::string adapter = request["adapter"];
    load_peft_adapter(model, read_peft_config(adapter), adapter);
  }
  GenerateOptions options;
  OptionTable(options).load(request.at("options"), "request");
  options.stop = request.value("stop", std::vector<std::string>());
  options.memory_share = request.value("memory_share", options.memory_share);
  std::vector<Prompt> prompts;
  for (const auto& ids : request.at("prompts"))
    prompts.push_back({static_cast<std::int64_t>(prompts.size()), ids});

  const auto tokenizer = Tokenizer::load(folder);
  std::vector<Json> completions(prompts.size());
  const auto start = Clock::now();
  model.pack();
  const auto packing = seconds_since(start);
  generate(model, tokenizer, prompts, options, [&](const Completion& completion) {
    completions[completion.index] = {{"index", completion.index},
                                     {"ids", completion.ids},
                                     {"text", completion.text},
                                     {"finish_reason", finish_reason_name(completion.finish_reason)}};
  });
  const Json report = {{"completions", completions},
                       {"seconds", seconds_since(start) - packing},
                       {"packing_seconds", packing}};
  write_file_atomically(request.at("output").get<std::string>(), report.dump());
}

}  // namespace
}  // namespace anneal

int main(int count, char** values) {
  if (count != 2) {
    std::fprintf(stderr, "usage: generate_probe REQUEST.json\n");
    return 2;
  }
  try {
    anneal::keep_freed_memory();
    anneal::run(anneal::read_json_file(values[1], anneal::ExitCode::kUsage));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generate_probe: %s\n", error.what());
    return 1;
  }
}
