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

// Config.json alone, no weights. The sizes of Qwen3-0.6B and Llama-3.2-1B.
Json config_of(const std::string& architecture) {
  Json config = tiny_config(architecture);
  const bool is_qwen = architecture == "Qwen3ForCausalLM";
  config["vocab_size"] = is_qwen ? 151'936 : 128'256;
  config["hidden_size"] = is_qwen ? 1024 : 2048;
  config["intermediate_size"] = is_qwen ? 3072 : 8192;
  config["num_hidden_layers"] = is_qwen ? 28 : 16;
  config["num_attention_heads"] = is_qwen ? 16 : 32;
  config["num_key_value_heads"] = 8;
  config["head_dim"] = is_qwen ? 128 : 64;
  config["tie_word_embeddings"] = true;
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

  MetaStep(const std::string& architecture, bool full, at::ScalarType compute, int ranks = 1,
           bool dora = false) {
    write_file_atomically(folder / "config.json", config_of(architecture).dump());
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

// Oracle: no operation takes a tensor of the processor; the sizes of the model are those of its family's
// papers.
TEST(MetaStep, RunsWithoutWeightsOrValues) {
  for (const std::string architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const bool full : {false, true})
      for (const auto compute : {at::kFloat, at::kBFloat16}) {
        MetaStep step(architecture, full, compute);
        EXPECT_EQ(misplaced_in([&] { step.run(); }), std::set<std::string>())
            << architecture << ", full " << full;
        EXPECT_EQ(step.model->num_parameters(),
                  architecture == "Qwen3ForCausalLM" ? 596'049'920 : 1'235'814'400);
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
    MetaStep step("Qwen3ForCausalLM", false, at::kBFloat16, ranks, /*dora=*/true);
    EXPECT_EQ(misplaced_in([&] { step.run(); }), std::set<std::string>()) << ranks;
    EXPECT_EQ(step.model->parameters().size(), 28U * 7 * 3);
  }
}

// Oracle: each rank's part is a quarter, and at most some elements more for each of a unit's arrays; a layer
// is gathered forward and backward, the embedding for both of its ends, and only the last norm once. What is
// trained is reduced.
TEST(MetaStep, RunsSharded) {
  constexpr int kRanks = 4;
  constexpr double kGatherings = 1.999;
  for (const std::string architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const bool full : {false, true}) {
      MetaStep step(architecture, full, at::kBFloat16, kRanks);
      const auto whole = static_cast<double>(step.model->num_parameters()) / kRanks;
      EXPECT_EQ(misplaced_in([&] { step.run(); }), std::set<std::string>())
          << architecture << ", full " << full;
      std::int64_t trained = 0, own = 0;
      for (const auto* parameter : step.model->parameters()) {
        EXPECT_TRUE(parameter->value.is_meta() && parameter->value_gradient.is_meta()) << parameter->name;
        trained += parameter->numel();
        own += parameter->value.numel();
      }
      EXPECT_NEAR(static_cast<double>(own) / (static_cast<double>(trained) / kRanks), 1, 0.3);
      EXPECT_GE(static_cast<double>(step.backend->gathered), kGatherings * whole)
          << architecture << ", full " << full;
      EXPECT_GE(step.backend->reduced, trained / kRanks) << architecture << ", full " << full;
    }
}

// Oracle: tensors that are put on the processor by hand; the watcher above sees each.
TEST(MetaStep, ATensorLeftOnTheProcessorIsSeen) {
  const auto left_behind = [](const auto& move) {
    MetaStep step("Qwen3ForCausalLM", false, at::kFloat);
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
  EXPECT_TRUE(
      left_behind([&](CausalLm& m) { m.layers[3].q_norm.weight_D = on_host(m.layers[3].q_norm.weight_D); }));
  EXPECT_TRUE(left_behind([&](CausalLm& m) {
    auto& weight = m.layers[5].projections[DecoderLayer::kUp].weight_OI;
    weight = on_host(weight);
  }));
  EXPECT_TRUE(left_behind([&](CausalLm& m) {
    auto& compute = m.layers[5].projections[DecoderLayer::kUp].lora->b_OR.compute;
    compute = on_host(compute);
  }));
  EXPECT_FALSE(left_behind([](CausalLm&) {}));
}

}  // namespace
}  // namespace anneal
