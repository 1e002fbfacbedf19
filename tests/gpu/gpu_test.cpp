// What only a GPU can show. Each test is skipped with a line where there is none.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "device/cuda_object.h"
#include "device/device.h"
#include "engine/selftest.h"

namespace anneal {
namespace {

class GpuMemory : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = why_no_gpu(); !reason.empty()) GTEST_SKIP() << "no GPU: " << reason;
    device_ = resolve_device("cuda");
  }
  c10::Device device_ = c10::kCPU;
};

class Gpu : public GpuMemory, public testing::WithParamInterface<std::string> {};

// Oracle: the processor, and the form in ATen operations on the same GPU.
TEST_P(Gpu, ComputesWhatItShould) {
  for (const auto& check : self_checks(device_)) {
    if (check.name != GetParam()) continue;
    const auto result = run_checks({check}).front();
    EXPECT_TRUE(result.passed()) << describe(result);
    return;
  }
  if (GetParam() == "NCCL, two ranks") GTEST_SKIP() << "one GPU only";
  FAIL() << "the self-test has no check " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(, Gpu,
                         testing::Values("dropout bits", "norms", "rotary embedding", "gated activation",
                                         "loss and its gradient", "clipping and AdamW", "attention, float32",
                                         "attention, bfloat16", "five LoRA steps, float32",
                                         "five LoRA steps, bfloat16", "copies on a second stream",
                                         "NCCL, one rank", "NCCL, two ranks"));

// Oracle: bytes by hand; what a tensor takes is seen, and its peak stays.
TEST_F(GpuMemory, IsCounted) {
  const auto& table = *cuda_object().table;
  const auto before = table.memory(0);
  {
    const auto taken = at::empty({1 << 26}, at::TensorOptions(device_).dtype(at::kByte));
    EXPECT_GE(table.memory(0).allocated_bytes, before.allocated_bytes + (1 << 26));
  }
  EXPECT_EQ(table.memory(0).allocated_bytes, before.allocated_bytes);
  EXPECT_GE(table.memory(0).peak_bytes, before.allocated_bytes + (1 << 26));
  EXPECT_GT(table.memory(0).free_bytes, 0);
}

}  // namespace
}  // namespace anneal
