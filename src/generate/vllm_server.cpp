#include "generate/vllm_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "net/http.h"

namespace anneal {
namespace {

constexpr std::int64_t kAdapterRanks[] = {8, 16, 32, 64, 128, 256, 320, 512};
constexpr const char* kBaseName = "base";
constexpr const char* kAdapterName = "checkpoint";
constexpr auto kStartLimit = std::chrono::minutes(30);  // large models are read from slow disks
constexpr auto kPollInterval = std::chrono::milliseconds(500);
constexpr std::size_t kShownLines = 15;

// Of the kernel's choice. Another program may take it before the server does: then the server says so.
int free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const bool is_bound = descriptor >= 0 && ::bind(descriptor, generic, size) == 0 &&
                        ::getsockname(descriptor, generic, &size) == 0;
  ::close(descriptor);
  if (!is_bound) fail(ExitCode::kResources, "there is no free port", "127.0.0.1", "close other programs");
  return ntohs(address.sin_port);
}

std::vector<std::string> arguments_of(const VllmLaunch& launch, const VllmModel& model) {
  const auto port = model.url.substr(model.url.rfind(':') + 1);
  std::vector<std::string> arguments = {
      launch.program, "serve", launch.model, "--host", "127.0.0.1", "--port", port, "--tokenizer",
      launch.tokenizer, "--served-model-name", kBaseName, "--dtype", launch.dtype, "--max-model-len",
      std::to_string(launch.max_model_len), "--tensor-parallel-size",
      std::to_string(launch.tensor_parallel_size), "--gpu-memory-utilization",
      Json(launch.gpu_memory_utilization).dump(),
      // The model's own sampling defaults stay out of it.
      "--generation-config", "vllm"};
  if (!launch.adapter) return arguments;
  const auto rank = vllm_adapter_rank(launch.adapter->rank).value();
  const Json module = {{"name", kAdapterName}, {"path", std::filesystem::absolute(launch.adapter->folder)}};
  for (const auto& argument : {std::string("--enable-lora"), std::string("--max-lora-rank"),
                               std::to_string(rank), std::string("--lora-modules"), module.dump()})
    arguments.push_back(argument);
  return arguments;
}

std::string last_lines(const std::string& text, std::size_t count) {
  auto start = text.size();
  for (; start > 0; --start)
    if (text[start - 1] == '\n' && start != text.size() && --count == 0) break;
  return text.substr(start);
}

}  // namespace

std::optional<std::int64_t> vllm_adapter_rank(std::int64_t rank) {
  const auto* found = std::lower_bound(std::begin(kAdapterRanks), std::end(kAdapterRanks), rank);
  return found == std::end(kAdapterRanks) ? std::nullopt : std::optional(*found);
}

VllmServer::VllmServer(const VllmLaunch& launch,
                       const std::function<void(double, const std::string&)>& on_wait)
    : log_(launch.log),
      model_{"http://127.0.0.1:" + std::to_string(free_port()), launch.adapter ? kAdapterName : kBaseName,
             launch.max_model_len},
      process_(arguments_of(launch, model_), launch.log) {
  const auto start = std::chrono::steady_clock::now();
  while (http_get(model_.url + "/health", "", /*timeout_seconds=*/5).status != 200) {
    const auto waited = std::chrono::steady_clock::now() - start;
    if (!process_.is_running())
      fail(ExitCode::kResources,
           "vLLM ended before it was ready (" + process_.end_text() + "):\n" + end_of_log(), log_.string(),
           "see what it says there; --engine native needs no vLLM");
    if (waited > kStartLimit)
      fail(ExitCode::kResources, "vLLM is not ready after 30 minutes:\n" + end_of_log(), log_.string(),
           "start it by hand, and give --vllm_url");
    auto line = last_lines(read_file(log_, ExitCode::kResources), 1);
    line.erase(line.find_last_not_of("\r\n") + 1);
    on_wait(std::chrono::duration<double>(waited).count(), line);
    std::this_thread::sleep_for(kPollInterval);
  }
}

void VllmServer::check() {
  if (process_.is_running()) return;
  fail(ExitCode::kDistributed, "vLLM ended (" + process_.end_text() + "):\n" + end_of_log(), log_.string(),
       "see what it says there, then go on with --resume");
}

std::string VllmServer::end_of_log() const {
  return last_lines(read_file(log_, ExitCode::kResources), kShownLines);
}

}  // namespace anneal
