#include "device/tensor_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <cstring>

#include "base/memory.h"

namespace anneal {
namespace {

constexpr std::size_t kSmall = 16 << 10;  // those of a step are not worth asking the kernel for

BlockHeap& heap() {
  static auto* heap = new BlockHeap();  // tensors of static storage are freed after all else
  return *heap;
}

class Allocator : public c10::Allocator {
 public:
  explicit Allocator(c10::Allocator& system) : system_(system) {}
  void copy_data(void* to, const void* from, std::size_t size) const override { std::memcpy(to, from, size); }

 protected:
  c10::Allocator& system_;
};

class LimitedAllocator final : public Allocator {
 public:
  using Allocator::Allocator;

  c10::DataPtr allocate(std::size_t size) override {
    TORCH_CHECK_WITH(OutOfMemoryError,
                     size <= kSmall || *address_space_left() >= static_cast<std::int64_t>(size) + kReserve,
                     "no address space for a tensor of ", size, " bytes");
    return system_.allocate(size);
  }
  c10::DeleterFnPtr raw_deleter() const override { return system_.raw_deleter(); }

 private:
  // The stack of a thread, an arena of malloc and oneDNN's generated code fit in it, with as much again.
  static constexpr std::int64_t kReserve = 96 << 20;
};

c10::DeleterFnPtr delete_small = nullptr;  // of the allocator that small tensors come from

// A profiler of torch sees these tensors as it sees others.
void delete_tensor(void* memory) {
  if (heap().free(memory))
    c10::profiledCPUMemoryReporter().Delete(memory);
  else
    delete_small(memory);
}

class HeapAllocator final : public Allocator {
 public:
  using Allocator::Allocator;

  c10::DataPtr allocate(std::size_t size) override {
    if (size <= kSmall) return system_.allocate(size);
    void* block = heap().allocate(size);
    TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "no memory for a tensor of ", size, " bytes");
    c10::profiledCPUMemoryReporter().New(block, size);
    return {block, block, delete_tensor, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return delete_tensor; }
};

}  // namespace

void set_up_tensor_memory() {
  auto& system = *c10::GetCPUAllocator();
  constexpr std::uint8_t kAboveTheDefault = 1;
  if (address_space_left()) {
    static LimitedAllocator limited(system);
    c10::SetCPUAllocator(&limited, kAboveTheDefault);
    return;
  }
  delete_small = system.raw_deleter();
  static HeapAllocator from_heap(system);
  c10::SetCPUAllocator(&from_heap, kAboveTheDefault);
}

BlockHeap::Counts tensor_memory() { return heap().counts(); }

void give_back_tensor_memory() {
  heap().give_back();
  give_back_freed_memory();
}

}  // namespace anneal
