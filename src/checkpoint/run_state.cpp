#include "checkpoint/run_state.h"

#include <ATen/ops/isfinite.h>

#include "checkpoint/run_record.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOptimizer = "optimizer-1-of-1.safetensors";
constexpr const char* kTrainer = "trainer_state.json";
constexpr const char* kMaster = "master_weights.safetensors";
// torch.optim.AdamW's names.
constexpr const char* kFirst = ".exp_avg";
constexpr const char* kSecond = ".exp_avg_sq";

std::vector<NamedValue> with_suffix(const std::vector<NamedValue>& values, const char* suffix) {
  std::vector<NamedValue> named;
  for (const auto& [name, value] : values) named.push_back({name + suffix, value});
  return named;
}

void append(std::vector<NamedValue>& all, const std::vector<NamedValue>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void write_values(const fs::path& path, const std::vector<NamedValue>& values) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, value] : values) tensors.push_back(checked_view(name, value));
  write_safetensors(path, tensors);
  require_on_disk(path, tensors);
}

void read_values(const std::vector<NamedValue>& into, const fs::path& path) {
  const SafetensorsFile file(path);
  const auto refuse = [&](const std::string& problem) {
    fail(ExitCode::kModel, problem, path.string(), "use a state of the same run");
  };
  for (const auto& [name, value] : into) {
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end()) refuse("tensor '" + name + "' is missing");
    const auto tensor = tensor_of(found->second);
    if (!tensor.sizes().equals(value.sizes()) || tensor.scalar_type() != at::kFloat)
      refuse("tensor '" + name + "' has another shape or dtype than the run's");
    if (!at::isfinite(tensor).all().item<bool>())
      refuse("tensor '" + name + "' holds values that are not finite");
    value.copy_(tensor);
  }
  if (file.tensors().size() != into.size()) refuse("holds tensors that the run does not train");
}

}  // namespace

std::int64_t RunState::bytes() const {
  std::int64_t bytes = 0;
  for (const auto* values : {&this->values, &first_moments, &second_moments})
    for (const auto& [name, value] : *values) bytes += static_cast<std::int64_t>(value.nbytes());
  return bytes;
}

void RunState::copy_tensors() {
  for (auto* values : {&this->values, &first_moments, &second_moments})
    for (auto& [name, value] : *values) value = value.is_cpu() ? value.clone() : value.cpu();
}

void write_progress(const RunState& state, const fs::path& folder) {
  auto moments = with_suffix(state.first_moments, kFirst);
  append(moments, with_suffix(state.second_moments, kSecond));
  write_values(folder / kOptimizer, moments);
  write_file_atomically(folder / kLoopState, state.loop.dump(2) + "\n");
}

void write_origin(const RunState& state, const fs::path& folder) {
  write_file_atomically(folder / kRunRecord, state.run_record);
  write_file_atomically(folder / kTrainer, state.trainer_state.dump(2) + "\n");
}

void write_master_weights(const std::vector<NamedValue>& values, const fs::path& folder) {
  write_values(folder / kMaster, values);
}

void read_master_weights(const std::vector<NamedValue>& into, const fs::path& folder) {
  read_values(into, folder / kMaster);
}

bool holds_run_state(const fs::path& folder) {
  return fs::exists(folder / kLoopState) && fs::exists(folder / kOptimizer);
}

RunState read_run_state(const fs::path& folder) {
  RunState state;
  state.loop = read_json_file(folder / kLoopState, ExitCode::kModel);
  state.trainer_state = read_json_file(folder / kTrainer, ExitCode::kModel);
  if (!state.loop.is_object() || !state.trainer_state.is_object())
    fail(ExitCode::kModel, "its JSON files are not objects", folder.string(), "use another state");
  state.run_record = read_file(folder / kRunRecord, ExitCode::kModel);
  state.step = required<std::int64_t>(state.loop, "step", (folder / kLoopState).string(), ExitCode::kModel);
  return state;
}

void read_moments(const std::vector<NamedValue>& first, const std::vector<NamedValue>& second,
                  const fs::path& folder) {
  auto moments = with_suffix(first, kFirst);
  append(moments, with_suffix(second, kSecond));
  read_values(moments, folder / kOptimizer);
}

}  // namespace anneal
