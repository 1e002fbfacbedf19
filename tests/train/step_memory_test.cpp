// The planner's figures against what real steps allocate through torch.
#include "plan/step_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include "device/tensor_memory.h"
#include "models/lora_adapter.h"
#include "models/trained_shape.h"
#include "nn/attention.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "train/adamw.h"
#include "train/resources.h"
#include "train/step.h"

namespace anneal {
namespace {

// Temporaries of a few bytes a token are not planned: norms' inverse lengths, indices, samples' losses.
constexpr double kSmallTemporaries = 0.03;

// Of this thread, which allocates what a step has.
class AllocatedBytes : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    now_ += bytes;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  std::int64_t now_ = 0, peak_ = 0;
};

template <class Work>
std::int64_t peak_of(const Work& work) {
  const auto bytes = std::make_shared<AllocatedBytes>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, bytes);
  work();
  return bytes->peak();
}

struct Case {
  const char* architecture;
  bool full;
  double dropout;
  std::int64_t kept_layers;
};

class StepMemoryOf : public testing::TestWithParam<Case> {};

constexpr std::int64_t kSamples = 8, kSampleTokens = 256;

Json sizable_config(const char* architecture) {
  Json config = tiny_config(architecture);
  config.update({{"vocab_size", 1000},
                 {"hidden_size", 256},
                 {"intermediate_size", 640},
                 {"num_hidden_layers", 5},
                 {"num_attention_heads", 8},
                 {"num_key_value_heads", 2},
                 {"head_dim", 32},
                 {"torch_dtype", "bfloat16"},
                 {"max_position_embeddings", 512}});
  return config;
}

// A model whose step is one micro-batch.
struct Training {
  explicit Training(const Case& wanted) : kept_layers(wanted.kept_layers) {
    write_tiny_model(folder.path(), sizable_config(wanted.architecture), at::kBFloat16);
    model = std::make_unique<CausalLm>(folder.path(), Precision{at::kBFloat16, std::nullopt});
    if (wanted.full)
      model->train_all_weights();
    else
      add_lora(*model, {8, 8, wanted.dropout, {"all-linear"}}, 1);
    for (std::uint64_t seed = 0; seed < kSamples; ++seed)
      ids.push_back(random_ids(kSampleTokens, seed, 1000));
    for (const auto& sample : ids) pool.push_back({sample, 1});
  }

  void step() {
    ProcessGroup alone;
    forward_backward(*model, pool, {kSamples * kSampleTokens, kept_layers}, 42, 0, alone);
  }

  // What a step takes besides what is there before it.
  std::int64_t planned() const {
    const auto memory =
        step_memory(shape_of(*model), setup_of(*model, 1), {kSamples * kSampleTokens, kept_layers});
    return memory.activations + memory.at_work + memory.logits;
  }

  ScratchFolder folder;
  std::unique_ptr<CausalLm> model;
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<SampleView> pool;
  std::int64_t kept_layers;
};

void expect_planned(std::int64_t planned, std::int64_t measured) {
  EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(measured), 1, kSmallTemporaries)
      << planned << " planned, " << measured << " allocated";
}

// Oracle: the most bytes that torch has handed out at one time, in a step of one micro-batch.
TEST_P(StepMemoryOf, IsWhatAStepAllocates) {
  if (!has_fused_attention(at::kBFloat16))
    GTEST_SKIP() << "attention runs in its plain form here, which holds scores";
  Training training(GetParam());
  const auto measured = peak_of([&] { training.step(); });
  expect_planned(training.planned(), measured);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, StepMemoryOf,
    testing::Values(Case{"LlamaForCausalLM", false, 0.1, 5}, Case{"LlamaForCausalLM", false, 0, 5},
                    Case{"LlamaForCausalLM", false, 0.1, 0}, Case{"LlamaForCausalLM", true, 0, 5},
                    Case{"LlamaForCausalLM", true, 0, 2}, Case{"Qwen3ForCausalLM", false, 0.1, 5},
                    Case{"Qwen3ForCausalLM", false, 0.1, 3}, Case{"Qwen3ForCausalLM", true, 0, 0}));

// Oracle: the counts of the heap that large tensors come from. A step takes what is planned, and the same
// step again finds that memory there: it makes few pages, where pieces that are kept are all too small.
TEST(StepMemory, AStepFindsThePagesOfTheOneBefore) {
  if (!has_fused_attention(at::kBFloat16))
    GTEST_SKIP() << "attention runs in its plain form here, which holds scores";
  set_up_tensor_memory();
  Training training({"LlamaForCausalLM", false, 0.1, 5});
  give_back_tensor_memory();
  const auto before = tensor_memory();
  training.step();
  const auto first = tensor_memory();
  const auto taken = first.most_in_use - before.in_use;
  expect_planned(training.planned(), taken);
  EXPECT_GE(first.made - before.made, taken);
  training.step();
  const auto second = tensor_memory();
  constexpr double kTooSmall = 0.1;  // most bytes of a step are taken several times
  EXPECT_LE(static_cast<double>(second.made - first.made), kTooSmall * static_cast<double>(taken));
  EXPECT_LE(second.in_use + second.kept, second.most_in_use);
}

// Oracle: the bytes that torch has handed out for adapters, masters, gradients, and moments.
TEST(StepMemory, StatesAreWhatIsAllocated) {
  for (const bool full : {false, true}) {
    const ScratchFolder folder;
    Json config = tiny_config();
    config.update({{"vocab_size", 500}, {"hidden_size", 128}, {"intermediate_size", 256}});
    write_tiny_model(folder.path(), config, at::kBFloat16);
    CausalLm model(folder.path(), Precision{at::kBFloat16, std::nullopt});
    std::optional<AdamW> optimizer;
    const auto measured = peak_of([&] {
      if (full)
        model.train_all_weights();
      else
        add_lora(model, {16, 8, 0.1, {"all-linear"}}, 1);
      optimizer.emplace(model.parameters(), 0.01);
    });
    const auto memory = step_memory(shape_of(model), setup_of(model, 1), {0, 0});
    const auto planned = memory.states() - memory.mapped;
    EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(measured), 1, kSmallTemporaries) << full;
  }
}

}  // namespace
}  // namespace anneal
