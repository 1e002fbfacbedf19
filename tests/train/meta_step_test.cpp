// The whole step on torch's meta device, which has shapes and no values: nothing of it may need the
// processor's memory. Every call of an ATen operation is watched: none may take a tensor of another device.
#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <set>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "models/lora_adapter.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "train/adamw.h"
#include "train/step.h"

namespace anneal {
namespace {

thread_local std::set<std::string>* misplaced = nullptr;

// Single numbers may stay on the host; batches come from there by `to`.
bool is_on_the_host(const c10::IValue& value) {
  return value.isTensor() && value.toTensor().defined() && !value.toTensor().is_meta() &&
         value.toTensor().numel() > 1;
}

std::unique_ptr<at::ObserverContext> look_at_inputs(const at::RecordFunction& call) {
  const std::string name = call.name();
  if (name == "aten::to" || name == "aten::_to_copy" || name == "aten::copy_") return nullptr;
  for (const auto& input : call.inputs()) {
    if (is_on_the_host(input)) misplaced->insert(name);
    if (input.isTensorList())
      for (const auto& tensor : input.toTensorVector())
        if (is_on_the_host(tensor)) misplaced->insert(name);
  }
  return nullptr;
}

// The operations that took a tensor of another device while `work` ran.
template <class Work>
std::set<std::string> misplaced_in(const Work& work) {
  std::set<std::string> found;
  misplaced = &found;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(look_at_inputs).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(handle);
  misplaced = nullptr;
  return found;
}

// Config.json alone, no weights. The counts of parameters are those that the models are published with.
struct Published {
  const char* architecture;
  std::int64_t parameters;
  Json sizes;
};
// Of Qwen3-30B-A3B: embedding, head and last norm.
constexpr std::int64_t kQwen3MoeEnds = 2 * 151'936LL * 2048 + 2048;
const Published kPublished[] = {
    // Llama-3.2-1B
    {"LlamaForCausalLM",
     1'235'814'400,
     {{"vocab_size", 128'256},
      {"hidden_size", 2048},
      {"intermediate_size", 8192},
      {"num_hidden_layers", 16},
      {"num_attention_heads", 32},
      {"num_key_value_heads", 8},
      {"head_dim", 64},
      {"tie_word_embeddings", true}}},
    // Mistral-7B-v0.1
    {"MistralForCausalLM",
     7'241'732'096,
     {{"vocab_size", 32'000},
      {"hidden_size", 4096},
      {"intermediate_size", 14'336},
      {"num_hidden_layers", 32},
      {"num_attention_heads", 32},
      {"num_key_value_heads", 8},
      {"head_dim", 128},
      {"sliding_window", 4096}}},
    // Mixtral-8x7B-v0.1
    {"MixtralForCausalLM",
     46'702'792'704,
     {{"vocab_size", 32'000},
      {"hidden_size", 4096},
      {"intermediate_size", 14'336},
      {"num_hidden_layers", 32},
      {"num_attention_heads", 32},
      {"num_key_value_heads", 8},
      {"head_dim", 128}}},
    // Phi-3-mini-4k
    {"Phi3ForCausalLM",
     3'821'079'552,
     {{"vocab_size", 32'064},
      {"hidden_size", 3072},
      {"intermediate_size", 8192},
      {"num_hidden_layers", 32},
      {"num_attention_heads", 32},
      {"num_key_value_heads", 32},
      {"head_dim", 96},
      {"sliding_window", 2047}}},
    // Qwen2.5-0.5B
    {"Qwen2ForCausalLM",
     494'032'768,
     {{"vocab_size", 151'936},
      {"hidden_size", 896},
      {"intermediate_size", 4864},
      {"num_hidden_layers", 24},
      {"num_attention_heads", 14},
      {"num_key_value_heads", 2},
      {"head_dim", 64},
      {"tie_word_embeddings", true}}},
    // Qwen3-0.6B
    {"Qwen3ForCausalLM",
     596'049'920,
     {{"vocab_size", 151'936},
      {"hidden_size", 1024},
      {"intermediate_size", 3072},
      {"num_hidden_layers", 28},
      {"num_attention_heads", 16},
      {"num_key_value_heads", 8},
      {"head_dim", 128},
      {"tie_word_embeddings", true}}},
    // Qwen3-30B-A3B, three of its 48 layers
    {"Qwen3MoeForCausalLM",
     kQwen3MoeEnds + (30'532'122'624 - kQwen3MoeEnds) / 48 * 3,
     {{"vocab_size", 151'936},
      {"hidden_size", 2048},
      {"intermediate_size", 6144},
      {"num_hidden_layers", 3},
      {"num_attention_heads", 32},
      {"num_key_value_heads", 4},
      {"head_dim", 128},
      {"num_experts", 128},
      {"num_experts_per_tok", 8},
      {"moe_intermediate_size", 768},
      {"norm_topk_prob", true}}}};

const Published& published(const std::string& architecture) {
  return *std::find_if(std::begin(kPublished), std::end(kPublished),
                       [&](const auto& model) { return model.architecture == architecture; });
}

Json config_of(const Published& model) {
  Json config = tiny_config(model.architecture);
  config.update(model.sizes);
  config["torch_dtype"] = "bfloat16";
  return config;
}

// Ranks that are not there: it counts what would be sent.
class RecordingBackend : public c10d::Backend {
 public:
  explicit RecordingBackend(int size) : Backend(0, size) {}
  const std::string getBackendName() const override { return "recording"; }
  c10::intrusive_ptr<c10d::Work> _allgather_base(at::Tensor& whole, at::Tensor& part,
                                                 const c10d::AllgatherOptions&) override {
    EXPECT_TRUE(whole.is_meta() && part.is_meta());
    gathered += part.numel();
    return done();
  }
  c10::intrusive_ptr<c10d::Work> _reduce_scatter_base(at::Tensor& part, at::Tensor& whole,
                                                      const c10d::ReduceScatterOptions&) override {
    EXPECT_TRUE(whole.is_meta() && part.is_meta());
    reduced += part.numel();
    return done();
  }
  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>&, const c10d::AllreduceOptions&) override {
    return done();
  }
  std::int64_t gathered = 0, reduced = 0;

 private:
  struct Done : c10d::Work {
    bool wait(std::chrono::milliseconds) override { return true; }
  };
  static c10::intrusive_ptr<c10d::Work> done() { return c10::make_intrusive<Done>(); }
};

struct MetaStep {
  ScratchFolder folder;
  std::unique_ptr<CausalLm> model;
  std::vector<std::vector<std::int32_t>> ids{random_ids(9, 1), random_ids(70, 2), random_ids(23, 3)};

  c10::intrusive_ptr<RecordingBackend> backend;  // of a model that is shared
  ProcessGroup group;

  MetaStep(const Published& published, bool full, at::ScalarType compute, int ranks = 1, bool dora = false) {
    write_file_atomically(folder / "config.json", config_of(published).dump());
    model = std::make_unique<CausalLm>(folder.path(), Precision{compute, std::nullopt}, at::kMeta,
                                       ranks > 1 ? Loading::kToBeShared : Loading::kWhole);
    if (full)
      model->train_all_weights();
    else
      add_lora(*model, {.rank = 16, .alpha = 32, .dropout = 0.1, .targets = {"all-linear"}, .use_dora = dora},
               42);
    if (ranks > 1) {
      backend = c10::make_intrusive<RecordingBackend>(ranks);
      group = ProcessGroup(backend, 0, ranks);
      model->share(group);
    }
    start_magnitudes(*model);
  }

  void run() {
    const c10::InferenceMode no_autograd;
    const auto parameters = model->parameters();
    AdamW optimizer(parameters, 0.01);
    zero_gradients(parameters);
    std::vector<SampleView> pool;
    for (const auto& sample : ids) pool.push_back({sample, 4});
    const auto loss = forward_backward(*model, pool, {80, 2}, 42, 7, group);
    EXPECT_TRUE(std::isnan(loss.sum_nll));
    EXPECT_EQ(loss.trained_tokens, 9 + 70 + 23 - 3 * 4);
    EXPECT_TRUE(std::isnan(clip_gradients(parameters, 1, group)));
    optimizer.step(1e-3);
  }
};

class MetaStepOf : public testing::TestWithParam<Published> {};

// Oracle: no operation takes a tensor of the processor; the number of parameters is the published one.
TEST_P(MetaStepOf, RunsWithoutWeightsOrValues) {
  for (const bool full : {false, true})
    for (const auto compute : {at::kFloat, at::kBFloat16}) {
      MetaStep step(GetParam(), full, compute);
      EXPECT_EQ(misplaced_in([&] { step.run(); }), std::set<std::string>()) << "full " << full;
      EXPECT_EQ(step.model->num_parameters(), GetParam().parameters);
      EXPECT_EQ(step.model->embedding_VE.scalar_type(), full ? compute : at::kBFloat16);
      for (const auto* parameter : step.model->parameters()) {
        EXPECT_TRUE(parameter->value.is_meta() && parameter->gradient.is_meta()) << parameter->name;
        EXPECT_EQ(parameter->gradient.sizes(), parameter->value.sizes()) << parameter->name;
      }
    }
}

// Oracle: no operation takes a tensor of the processor.
TEST(MetaStep, DoraRunsWithoutValues) {
  for (const int ranks : {1, 4}) {
    MetaStep step(published("Qwen3ForCausalLM"), false, at::kBFloat16, ranks, /*dora=*/true);
    EXPECT_EQ(misplaced_in([&] { step.run(); }), std::set<std::string>()) << ranks;
    EXPECT_EQ(step.model->parameters().size(), 28U * 7 * 3);
  }
}

// Oracle: each rank's part is a quarter, and at most some elements more for each of a unit's arrays; a layer
// is gathered forward and backward, and an embedding that is the head too for both; one that is not, a head
// of its own and the last norm are gathered once. What is trained is reduced.
TEST_P(MetaStepOf, RunsSharded) {
  constexpr int kRanks = 4;
  constexpr double kGatherings = 1.999;
  for (const bool full : {false, true}) {
    MetaStep step(GetParam(), full, at::kBFloat16, kRanks);
    const auto& config = step.model->config;
    const auto ends = config.tie_word_embeddings ? 0 : 2 * config.vocab_size * config.hidden_size;
    const auto whole = static_cast<double>(step.model->num_parameters() - ends) / kRanks;
    EXPECT_EQ(misplaced_in([&] { step.run(); }), std::set<std::string>()) << "full " << full;
    std::int64_t trained = 0, own = 0;
    for (const auto* parameter : step.model->parameters()) {
      EXPECT_TRUE(parameter->value.is_meta() && parameter->value_gradient.is_meta()) << parameter->name;
      trained += parameter->numel();
      own += parameter->value.numel();
    }
    EXPECT_NEAR(static_cast<double>(own) / (static_cast<double>(trained) / kRanks), 1, 0.3);
    EXPECT_GE(static_cast<double>(step.backend->gathered),
              kGatherings * whole + static_cast<double>(ends) / kRanks)
        << "full " << full;
    EXPECT_GE(step.backend->reduced, trained / kRanks) << "full " << full;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, MetaStepOf, testing::ValuesIn(kPublished),
                         [](const auto& info) { return std::string(info.param.architecture); });

// Oracle: the counts that the models are published with; LoRA of rank 32 on the seven projections by hand.
TEST(MetaModel, RealConfigsHaveTheirParameters) {
  const std::filesystem::path shared = ANNEAL_SOURCE_DIR "/../shared/data/configs";
  if (!std::filesystem::exists(shared)) GTEST_SKIP() << "../shared is absent: its configs are not built";
  struct Real {
    const char* folder;
    std::int64_t parameters, adapter;
  };
  constexpr Real kReal[] = {{"Llama-3.1-8B-Instruct", 8'030'261'248, 83'886'080},
                            {"Mistral-7B-Instruct-v0.3", 7'248'023'552, 83'886'080},
                            {"Qwen3-8B", 8'190'735'360, 87'293'952},
                            {"phi-4", 14'659'507'200, 111'411'200}};
  for (const auto& [folder, parameters, adapter] : kReal) {
    CausalLm model(shared / folder, Precision{at::kBFloat16, std::nullopt}, at::kMeta);
    EXPECT_EQ(model.num_parameters(), parameters) << folder;
    const std::vector<std::string> seven{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                         "gate_proj", "up_proj", "down_proj"};
    add_lora(model, {32, 32, 0.1, resolved_targets(model.config, seven)}, 1);
    std::int64_t trained = 0;
    for (const auto* parameter : model.parameters()) trained += parameter->numel();
    EXPECT_EQ(trained, adapter) << folder;
  }
}

// Oracle: tensors that are put on the processor by hand; the watcher above sees each.
TEST(MetaStep, ATensorLeftOnTheProcessorIsSeen) {
  const auto left_behind = [](const auto& move) {
    MetaStep step(published("Qwen3ForCausalLM"), false, at::kFloat);
    move(*step.model);
    bool failed = false;
    const auto seen = misplaced_in([&] {
      try {
        step.run();
      } catch (const std::exception&) {
        failed = true;
      }
    });
    return failed || !seen.empty();
  };
  const auto on_host = [](const at::Tensor& tensor) {
    return at::empty(tensor.sizes(), tensor.scalar_type());
  };
  EXPECT_TRUE(left_behind([&](CausalLm& m) { m.inverse_frequency = on_host(m.inverse_frequency); }));
  EXPECT_TRUE(left_behind([&](CausalLm& m) { m.norm.weight_D = on_host(m.norm.weight_D); }));
  EXPECT_TRUE(left_behind([&](CausalLm& m) {
    m.layers[3].attention.q_norm.weight_D = on_host(m.layers[3].attention.q_norm.weight_D);
  }));
  EXPECT_TRUE(left_behind([&](CausalLm& m) {
    auto& weight = m.layers[5].mlp.inputs[1].weight_OI;
    weight = on_host(weight);
  }));
  EXPECT_TRUE(left_behind([&](CausalLm& m) {
    auto& compute = m.layers[5].mlp.inputs[1].lora->b_OR.compute;
    compute = on_host(compute);
  }));
  EXPECT_FALSE(left_behind([](CausalLm&) {}));
}

}  // namespace
}  // namespace anneal
