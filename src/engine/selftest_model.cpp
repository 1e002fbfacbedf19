#include "engine/selftest_model.h"

#include <unistd.h>

#include <cmath>
#include <optional>

#include "base/file.h"
#include "checkpoint/tensor_file.h"
#include "engine/selftest_values.h"
#include "models/lora_adapter.h"
#include "nn/plain_forms.h"
#include "train/adamw.h"
#include "train/step.h"

namespace anneal {
namespace {

constexpr double kFloat32Steps = 1e-4;  // losses of five steps, relative
constexpr double kBf16Steps = 2e-2;
constexpr std::int64_t kVocabulary = 500;
constexpr std::uint64_t kSeed = 3;

// A folder in the place for such things, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto name = (std::filesystem::temp_directory_path() / "anneal-selftest.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      fail(ExitCode::kResources, "cannot make a folder for the self-test", name,
           "set TMPDIR to a writable folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const Json kConfig = {{"architectures", {"Qwen3ForCausalLM"}},
                      {"vocab_size", kVocabulary},
                      {"hidden_size", 128},
                      {"intermediate_size", 256},
                      {"num_hidden_layers", 3},
                      {"num_attention_heads", 4},
                      {"num_key_value_heads", 2},
                      {"head_dim", 64},
                      {"max_position_embeddings", 512},
                      {"rms_norm_eps", 1e-6},
                      {"tie_word_embeddings", true},
                      {"dtype", "float32"}};

// The names and shapes of its weights are those of the same model on the meta device.
void write_model(const std::filesystem::path& folder) {
  write_file_atomically(folder / "config.json", kConfig.dump());
  CausalLm shapes(folder, {at::kFloat, std::nullopt}, at::kMeta);
  std::vector<std::pair<std::string, at::Tensor>> weights;
  const auto add = [&](const std::string& name, const at::Tensor& shape, double size, double mean) {
    weights.emplace_back(name, random_values(shape.sizes(), hash_name(name)).mul_(size).add_(mean));
  };
  const auto add_norm = [&](const NormWeight& norm) { add(norm.name + ".weight", norm.weight_D, 0.3, 1); };
  add("model.embed_tokens.weight", shapes.embedding_VE, 1, 0);
  shapes.for_each_linear([&](const Linear& linear) {
    add(linear.name + ".weight", linear.weight_OI, 2 / std::sqrt(static_cast<double>(linear.in_features())),
        0);
  });
  for (const auto& layer : shapes.layers) layer.for_each_norm(add_norm);
  add_norm(shapes.norm);
  std::vector<NamedTensor> views;
  for (const auto& [name, tensor] : weights) views.push_back(view_of(name, tensor));
  write_safetensors(folder / "model.safetensors", views);
}

// Losses and, as the last, the norm of what was trained.
std::vector<double> five_steps(const std::filesystem::path& folder, at::Device device, at::ScalarType compute,
                               bool use_dora) {
  CausalLm model(folder, {compute, std::nullopt}, device);
  add_lora(model, {.rank = 8, .alpha = 16, .dropout = 0.1, .targets = {"all-linear"}, .use_dora = use_dora},
           kSeed);
  start_magnitudes(model);
  std::vector<std::vector<std::int32_t>> ids;
  for (const std::size_t length : {60, 7, 130, 33}) {
    auto& sample = ids.emplace_back(length);
    for (std::size_t at = 0; at < length; ++at)
      sample[at] = static_cast<std::int32_t>(mix(length, at) % kVocabulary);
  }
  std::vector<SampleView> pool;
  for (const auto& sample : ids) pool.push_back({sample, 3});
  const auto parameters = model.parameters();
  AdamW optimizer(parameters, 0.01);
  ProcessGroup alone;
  std::vector<double> figures;
  for (std::int64_t step = 0; step < 5; ++step) {
    zero_gradients(parameters);
    figures.push_back(forward_backward(model, pool, {100, 2}, kSeed, step, alone).mean());
    figures.push_back(clip_gradients(parameters, 1, alone));
    optimizer.step(3e-3);
  }
  double squares = 0;
  for (const auto* parameter : parameters)
    squares += parameter->value.to(at::kDouble).pow(2).sum().item<double>();
  figures.push_back(std::sqrt(squares));
  return figures;
}

double steps_error(at::Device device, at::ScalarType compute, bool use_dora) {
  const TemporaryFolder folder;
  write_model(folder.path());
  const auto expected = five_steps(folder.path(), at::kCPU, at::kFloat, use_dora);
  std::optional<PlainForms> plain_forms;
  if (device.is_cpu()) plain_forms.emplace();
  const auto actual = five_steps(folder.path(), device, compute, use_dora);
  double largest = 0;
  for (std::size_t at = 0; at < expected.size(); ++at) {
    const double error = std::abs(actual[at] / expected[at] - 1);
    if (!(error <= largest)) largest = error;  // a NaN stays
  }
  return largest;
}

}  // namespace

void add_model_checks(c10::Device device, std::vector<SelfCheck>& checks) {
  for (const bool dora : {false, true}) {
    const std::string name = dora ? "five DoRA steps, " : "five LoRA steps, ";
    checks.push_back(
        {name + "float32", kFloat32Steps, [=] { return steps_error(device, at::kFloat, dora); }});
    checks.push_back(
        {name + "bfloat16", kBf16Steps, [=] { return steps_error(device, at::kBFloat16, dora); }});
  }
}

}  // namespace anneal
