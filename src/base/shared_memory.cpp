#include "base/shared_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace anneal {
namespace {

[[noreturn]] void fail_shared() {
  fail(ExitCode::kResources, std::string("memory cannot be shared: ") + std::strerror(errno),
       "memory of two programs", "free memory");
}

}  // namespace

SharedMemory::SharedMemory() : descriptor_(::memfd_create("anneal", MFD_CLOEXEC)) {
  if (descriptor_ < 0) fail_shared();
}

SharedMemory::~SharedMemory() {
  if (mapped_) ::munmap(mapped_, size_);
  ::close(descriptor_);
}

std::string SharedMemory::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(descriptor_);
}

std::byte* SharedMemory::map() {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_shared();
  size_ = static_cast<std::size_t>(status.st_size);
  void* const bytes = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (bytes == MAP_FAILED) fail_shared();
  mapped_ = bytes;
  return static_cast<std::byte*>(bytes);
}

}  // namespace anneal
