#include "checkpoint/converted_model.h"

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <tuple>

#include "base/json.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tensor_file.h"

namespace anneal {
namespace {

constexpr const char* kHead = "lm_head.weight";

bool head_is_tied(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const Json config = read_json_file(path, ExitCode::kModel);
  if (!config.is_object())
    fail(ExitCode::kModel, "is not a JSON object", path.string(), "name a Hugging Face model folder");
  return optional<bool>(config, "tie_word_embeddings", false, path.string(), ExitCode::kModel);
}

// Neighbours in a file stay neighbours, so that it is read from its start to its end.
std::vector<std::string> names_in_file_order(const SafetensorsFolder& weights) {
  std::vector<std::string> names;
  for (const auto& [name, view] : weights.tensors()) names.push_back(name);
  const auto place = [&](const std::string& name) {
    return std::tuple(weights.file_of(name), weights.tensor(name).bytes.data(), name);
  };
  std::sort(names.begin(), names.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return names;
}

}  // namespace

ConvertedModel::ConvertedModel(const std::filesystem::path& weights,
                               const std::optional<std::filesystem::path>& adapter,
                               std::optional<at::ScalarType> dtype)
    : folder_(weights), weights_(weights), dtype_(dtype) {
  if (adapter) merge_.emplace(*adapter, weights_);
  const bool tied = head_is_tied(weights);
  if (tied && merge_ && merge_->changes(kHead))
    fail(ExitCode::kModel, "the adapter changes 'lm_head', which the base model ties to its embedding",
         (*adapter / "adapter_config.json").string(),
         "train an adapter without lm_head, or keep it with --no_merge");
  for (const auto& name : names_in_file_order(weights_)) {
    if (tied && name == kHead) continue;
    const auto& view = weights_.tensor(name);
    const bool rounds = dtype_ && is_floating_point(view.dtype);
    tensors_.push_back({name, rounds ? dtype_of(*dtype_) : view.dtype, view.shape});
  }
}

std::int64_t ConvertedModel::bytes() const {
  std::int64_t total = 0;
  for (const auto& tensor : tensors_) total += tensor.bytes();
  return total;
}

at::Tensor ConvertedModel::tensor(const TensorPlan& plan) const {
  const auto stored = tensor_of(weights_.tensor(plan.name));
  const bool merges = merge_ && merge_->changes(plan.name);
  if (!merges && dtype_of(stored.scalar_type()) == plan.dtype) return stored;
  const auto type =
      is_floating_point(plan.dtype) ? dtype_.value_or(stored.scalar_type()) : stored.scalar_type();
  const auto made = (merges ? merge_->merged(plan.name, stored) : stored).to(type).contiguous();
  if (!at::isfinite(made).all().item<bool>())
    fail(ExitCode::kModel, "tensor '" + plan.name + "' holds values that are not finite once it is converted",
         weights_.file_of(plan.name), "use a --dtype of a larger range, such as bf16; or another checkpoint");
  return made;
}

void ConvertedModel::write(const std::filesystem::path& folder, std::int64_t shard_bytes,
                           const std::function<void(std::size_t, std::int64_t)>& progress) const {
  at::Tensor held;
  std::size_t written = 0;
  std::int64_t written_bytes = 0;
  write_safetensors_folder(folder, tensors_, shard_bytes, [&](const TensorPlan& plan) {
    progress(written++, written_bytes);
    held = tensor(plan);
    written_bytes += plan.bytes();
    return view_of(plan.name, held).view.bytes;
  });
  const auto config =
      dtype_ ? config_with_dtype(folder_, *dtype_) : read_file(folder_ / "config.json", ExitCode::kModel);
  write_file_atomically(folder / "config.json", config);
}

}  // namespace anneal
