#include "device/device.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/memory.h"
#include "device/cuda_object.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

// Oracle: the driver. The object that is built for GPUs loads on any machine, and says itself what it finds.
TEST(CudaObject, LoadsWithoutAGpuAndSaysWhatItFinds) {
  const auto object = load_cuda_object(cuda_object_path());
  ASSERT_NE(object.table, nullptr) << object.reason;
  EXPECT_NE(object.table->make_nccl_backend, nullptr);
  EXPECT_NE(object.table->attention.forward, nullptr);
  EXPECT_GE(object.table->runtime_version(), 12'000);
  if (why_no_gpu().empty()) {
    EXPECT_GT(object.devices, 0) << object.reason;
  } else {
    EXPECT_EQ(object.devices, 0);
    EXPECT_NE(object.reason.find("the CUDA runtime"), std::string::npos) << object.reason;
  }
}

// Oracle: the contract; where the driver has no device, nothing is loaded and the reason is kept.
TEST(CudaObject, IsNotLoadedWithoutAGpu) {
  if (why_no_gpu().empty()) GTEST_SKIP() << "there is a GPU";
  EXPECT_EQ(cuda_object().table, nullptr);
  EXPECT_EQ(cuda_object().reason, why_no_gpu());
}

// Oracle: files that are no such object, by hand.
TEST(CudaObject, AnotherFileIsRefusedWithAReason) {
  const ScratchFolder folder;
  const auto missing = load_cuda_object(folder / "libanneal_cuda.so");
  EXPECT_EQ(missing.table, nullptr);
  EXPECT_NE(missing.reason.find("libanneal_cuda.so"), std::string::npos) << missing.reason;
  const auto other = load_cuda_object("libm.so.6");
  EXPECT_EQ(other.table, nullptr);
  EXPECT_NE(other.reason.find(kCudaTableSymbol), std::string::npos) << other.reason;
}

// Oracle: the contract of --device.
TEST(Device, OptionsResolve) {
  EXPECT_EQ(resolve_device("cpu"), c10::Device(c10::kCPU));
  if (why_no_gpu().empty()) {
    EXPECT_EQ(resolve_device("auto"), c10::Device(c10::kCUDA, 0));
  } else {
    EXPECT_EQ(resolve_device("auto"), c10::Device(c10::kCPU));
    const auto text = expect_user_error(ExitCode::kResources, "--device", [] { resolve_device("cuda"); });
    EXPECT_NE(text.find(why_no_gpu()), std::string::npos) << text;
  }
}

// Oracle: the functions for the processor that these stand for.
TEST(Device, TheProcessorHasMemoryAndNothingToWaitFor) {
  synchronize(c10::kCPU);
  EXPECT_NEAR(static_cast<double>(free_bytes(c10::kCPU)) / static_cast<double>(available_memory_bytes()), 1,
              0.2);
  EXPECT_GT(used_bytes(c10::kCPU), 0);
  EXPECT_EQ(device_text(c10::kCPU), "cpu");
}

}  // namespace
}  // namespace anneal
