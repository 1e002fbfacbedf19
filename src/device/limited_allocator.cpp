#include "device/limited_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <cstring>

#include "base/memory.h"

namespace anneal {
namespace {

// The stack of a thread, an arena of malloc and oneDNN's generated code fit in it, with as much again.
constexpr std::int64_t kReserve = 96 << 20;
constexpr std::size_t kSmall = 64 << 10;  // not worth asking the kernel for

class LimitedAllocator final : public c10::Allocator {
 public:
  explicit LimitedAllocator(c10::Allocator& system) : system_(system) {}

  c10::DataPtr allocate(std::size_t size) override {
    TORCH_CHECK_WITH(OutOfMemoryError,
                     size <= kSmall || *address_space_left() >= static_cast<std::int64_t>(size) + kReserve,
                     "no address space for a tensor of ", size, " bytes");
    return system_.allocate(size);
  }
  c10::DeleterFnPtr raw_deleter() const override { return system_.raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t size) const override { std::memcpy(to, from, size); }

 private:
  c10::Allocator& system_;
};

}  // namespace

void leave_reserve_of_address_space() {
  if (!address_space_left()) return;
  static LimitedAllocator limited(*c10::GetCPUAllocator());
  constexpr std::uint8_t kAboveTheDefault = 1;
  c10::SetCPUAllocator(&limited, kAboveTheDefault);
}

}  // namespace anneal
