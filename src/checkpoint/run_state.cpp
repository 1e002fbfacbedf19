#include "checkpoint/run_state.h"

#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "checkpoint/run_record.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOptimizer = "optimizer";
constexpr const char* kTrainer = "trainer_state.json";
constexpr const char* kMaster = "master_weights";
// torch.optim.AdamW's names.
constexpr const char* kFirst = ".exp_avg";
constexpr const char* kSecond = ".exp_avg_sq";

std::vector<NamedValue> with_suffix(const std::vector<NamedValue>& values, const char* suffix) {
  auto named = values;
  for (auto& value : named) value.name += suffix;
  return named;
}

void append(std::vector<NamedValue>& all, const std::vector<NamedValue>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

std::string file_name(const char* stem, int rank, int ranks) {
  return fmt::format("{}-{}-of-{}.safetensors", stem, rank + 1, ranks);
}

void write_values(const fs::path& path, const std::vector<NamedValue>& values) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, value, first] : values)
    if (value.numel() > 0)
      tensors.push_back(checked_view(first ? fmt::format("{}@{}", name, *first) : name, value));
  write_safetensors(path, tensors);
  require_on_disk(path, tensors);
}

// The tensors of one kind of all ranks' files: whole ones, and parts by their first element.
class StoredValues {
 public:
  StoredValues(const fs::path& folder, const char* stem) : where_((folder / stem).string()) {
    for (int rank = 0, ranks = 1; rank < ranks; ++rank) {
      if (rank == 0) ranks = count_files(folder, stem);
      const auto& file =
          files_.emplace_back(std::make_unique<SafetensorsFile>(folder / file_name(stem, rank, ranks)));
      for (const auto& [key, view] : file->tensors()) add(key, view);
    }
  }

  void read(const NamedValue& into) {
    const auto found = pieces_.find(into.name);
    if (found == pieces_.end()) refuse("tensor '" + into.name + "' is missing");
    auto flat = into.value.view({-1});
    const auto begin = into.first_element.value_or(0), end = begin + flat.numel();
    std::int64_t filled = 0;
    for (const auto& [first, tensor] : found->second) {
      if (tensor.scalar_type() != at::kFloat ||
          (!into.first_element && found->second.size() == 1 && tensor.numel() != flat.numel()))
        refuse("tensor '" + into.name + "' has another shape or dtype than the run's");
      const auto from = std::clamp(first, begin, end), to = std::clamp(first + tensor.numel(), begin, end);
      if (from >= to) continue;
      const auto source = tensor.view({-1}).slice(0, from - first, to - first);
      if (!at::isfinite(source).all().item<bool>())
        refuse("tensor '" + into.name + "' holds values that are not finite");
      flat.slice(0, from - begin, to - begin).copy_(source);
      filled += to - from;
    }
    if (filled != flat.numel()) refuse("parts of tensor '" + into.name + "' are missing");
  }

  std::size_t names() const { return pieces_.size(); }
  [[noreturn]] void refuse(const std::string& problem) const {
    fail(ExitCode::kModel, problem, where_, "use a state of the same run");
  }

 private:
  static int count_files(const fs::path& folder, const char* stem) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      int rank = 0, ranks = 0;
      const auto name = entry.path().filename().string();
      if (std::sscanf(name.c_str() + std::min(name.size(), std::strlen(stem)), "-%d-of-%d", &rank, &ranks) ==
              2 &&
          name == file_name(stem, rank - 1, ranks))
        return ranks;
    }
    return 1;
  }
  void add(const std::string& key, const TensorView& view) {
    const auto at = key.rfind('@');
    const auto first = at == key.npos ? 0 : std::atoll(key.c_str() + at + 1);
    pieces_[key.substr(0, at)].emplace_back(first, tensor_of(view));
  }

  std::string where_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::vector<std::pair<std::int64_t, at::Tensor>>> pieces_;
};

void read_values(const std::vector<NamedValue>& into, const fs::path& folder, const char* stem) {
  StoredValues stored(folder, stem);
  for (const auto& value : into) stored.read(value);
  if (stored.names() != into.size()) stored.refuse("holds tensors that the run does not train");
}

}  // namespace

void RunState::divide(int rank, int ranks) {
  if (ranks == 1) return;
  std::int64_t total = 0;
  for (const auto& value : values) total += value.value.numel();
  for (auto* all : {&values, &first_moments, &second_moments}) {
    std::int64_t before = 0;
    std::erase_if(*all, [&](const NamedValue& value) {
      const auto owner = before * ranks / std::max<std::int64_t>(total, 1);
      before += value.value.numel();
      return owner != rank;
    });
  }
}

std::int64_t RunState::bytes() const {
  std::map<const void*, std::int64_t> tensors;
  for (const auto* all : {&values, &first_moments, &second_moments, &weights.values})
    for (const auto& value : *all)
      tensors[value.value.const_data_ptr()] = static_cast<std::int64_t>(value.value.nbytes());
  std::int64_t bytes = 0;
  for (const auto& [data, size] : tensors) bytes += size;
  return bytes;
}

void RunState::copy_tensors() {
  std::map<const void*, at::Tensor> copies;  // values and weights may be the same
  for (auto* all : {&values, &first_moments, &second_moments, &weights.values})
    for (auto& value : *all) {
      auto& copy = copies[value.value.const_data_ptr()];
      if (!copy.defined()) copy = value.value.is_cpu() ? value.value.clone() : value.value.cpu();
      value.value = copy;
    }
}

void write_progress(const RunState& state, const fs::path& folder) {
  auto moments = with_suffix(state.first_moments, kFirst);
  append(moments, with_suffix(state.second_moments, kSecond));
  write_values(folder / file_name(kOptimizer, state.weights.rank, state.weights.ranks), moments);
  if (state.weights.rank == 0) write_file_atomically(folder / kLoopState, state.loop.dump(2) + "\n");
}

void write_origin(const RunState& state, const fs::path& folder) {
  write_file_atomically(folder / kRunRecord, state.run_record);
  write_file_atomically(folder / kTrainer, state.trainer_state.dump(2) + "\n");
}

void write_master_weights(const RunState& state, const fs::path& folder) {
  write_values(folder / file_name(kMaster, state.weights.rank, state.weights.ranks), state.values);
}

void read_master_weights(const std::vector<NamedValue>& into, const fs::path& folder) {
  read_values(into, folder, kMaster);
}

bool holds_run_state(const fs::path& folder) {
  return fs::exists(folder / kLoopState) && fs::exists(folder / kTrainer);
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
  read_values(moments, folder, kOptimizer);
}

}  // namespace anneal
