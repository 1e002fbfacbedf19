// A vLLM server of our own: started on a free port of this machine, ended with the object.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "generate/vllm_client.h"

namespace anneal {

struct VllmAdapter {
  std::filesystem::path folder;
  std::int64_t rank;
};

struct VllmLaunch {
  std::filesystem::path program, model, tokenizer;
  std::optional<VllmAdapter> adapter;  // applied by the server
  std::string dtype;
  std::int64_t tensor_parallel_size, max_model_len;
  double gpu_memory_utilization;
  std::filesystem::path log;  // what the server prints
};

// vLLM allocates adapters at one of a few ranks: the next one, or nothing above the largest.
std::optional<std::int64_t> vllm_adapter_rank(std::int64_t rank);

class VllmServer {
 public:
  // Waits until it is ready, calling on_wait(seconds, last line of the log) now and then. Throws
  // UserError(kResources) with the end of the log where it ends instead.
  VllmServer(const VllmLaunch& launch, const std::function<void(double, const std::string&)>& on_wait);

  const VllmModel& model() const { return model_; }
  void check();  // throws UserError(kDistributed) once it has ended

 private:
  std::string end_of_log() const;
  std::filesystem::path log_;
  VllmModel model_;
  ChildProcess process_;
};

}  // namespace anneal
