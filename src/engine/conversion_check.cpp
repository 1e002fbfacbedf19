#include "engine/conversion_check.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/sub.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/memory.h"
#include "base/random.h"
#include "models/language_head.h"

namespace anneal {
namespace {

constexpr std::size_t kCheckedTensors = 3;
constexpr std::size_t kCheckedTokens = 32;

// Spread over the model, so that a fault of the first layers alone or of the last is met.
std::vector<const TensorPlan*> tensors_to_check(const ConvertedModel& model) {
  std::vector<const TensorPlan*> merged, all;
  for (const auto& tensor : model.tensors()) {
    all.push_back(&tensor);
    if (model.merge() && model.merge()->changes(tensor.name)) merged.push_back(&tensor);
  }
  const auto& from = merged.empty() ? all : merged;
  std::vector<const TensorPlan*> chosen;
  for (std::size_t index = 0; index < std::min(kCheckedTensors, from.size()); ++index)
    chosen.push_back(from[index * (from.size() - 1) / std::max<std::size_t>(kCheckedTensors - 1, 1)]);
  return chosen;
}

at::Tensor logits_of(const std::filesystem::path& folder,
                     const std::optional<std::filesystem::path>& adapter) {
  const c10::InferenceMode no_autograd;
  CausalLm model(folder, {at::kFloat, std::nullopt});
  if (adapter) load_peft_adapter(model, read_peft_config(*adapter), *adapter);
  std::vector<std::int32_t> ids(std::min<std::size_t>(kCheckedTokens, model.config.rope.longest()));
  for (std::size_t at = 0; at < ids.size(); ++at)
    ids[at] = static_cast<std::int32_t>(mix(0, at) % model.config.vocab_size);
  const SampleView sample{ids, 1};
  return all_logits(model, make_token_batch({&sample, 1}, model.device));
}

// Float16 weights are held in float32, twice their size; others stay in their mapped files.
bool fits_into_memory(const SafetensorsFolder& weights) {
  std::int64_t bytes = 0;
  for (const auto& [name, view] : weights.tensors())
    if (view.dtype == DType::kFloat16) bytes += 2 * static_cast<std::int64_t>(view.bytes.size());
  return bytes < available_memory_bytes();
}

// Beyond what rounding may do to the logits, relative to the largest, on a model and a text that take it
// badly. The line shows the figure; this bound is for results that are plainly wrong.
double tolerance(const SafetensorsFolder& weights) {
  double widest = 1e-3;
  for (const auto& [name, view] : weights.tensors())
    widest = std::max(widest, view.dtype == DType::kBFloat16  ? 0.25
                              : view.dtype == DType::kFloat16 ? 0.05
                                                              : 0.0);
  return widest;
}

}  // namespace

std::string verify_tensors(const ConvertedModel& model, const std::filesystem::path& folder) {
  const SafetensorsFolder written(folder);
  if (written.tensors().size() != model.tensors().size())
    fail(ExitCode::kModel, "holds another number of tensors than were written", folder.string(),
         "convert again");
  std::string names;
  for (const auto* plan : tensors_to_check(model)) {
    const auto expected = model.tensor(*plan);
    const auto found = tensor_of(written.tensor(plan->name));
    if (found.scalar_type() != expected.scalar_type() || !at::equal(found, expected))
      fail(ExitCode::kModel, "tensor '" + plan->name + "' is not what was written",
           written.file_of(plan->name), "check the disk, and convert again");
    names += (names.empty() ? "" : ", ") + plan->name;
  }
  return "read back and computed anew, equal bit for bit: " + names;
}

LogitCheck compare_logits(const std::filesystem::path& folder, const std::filesystem::path& weights,
                          const std::optional<std::filesystem::path>& adapter) {
  try {
    const SafetensorsFolder written(folder);
    if (!fits_into_memory(written) || !fits_into_memory(SafetensorsFolder(weights)))
      return {"logits: not compared, there is too little memory"};
    const auto expected = logits_of(weights, adapter), actual = logits_of(folder, std::nullopt);
    const double difference = at::sub(actual, expected).abs().max().item<double>();
    const double size = expected.abs().max().item<double>();
    const double allowed = tolerance(written) * size;
    return {fmt::format("largest logit difference to {} over {} tokens: {:.3g} (logits up to {:.3g})",
                        adapter ? "base + adapter" : "the checkpoint", expected.size(0), difference, size),
            std::isfinite(difference) && difference <= allowed};
  } catch (const UserError& error) {
    return {"logits: not compared, as this program does not run the model (" +
            error.problems().front().problem + ")"};
  }
}

}  // namespace anneal
