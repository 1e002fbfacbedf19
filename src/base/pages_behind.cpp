#include "base/pages_behind.h"

#include <sys/mman.h>
#include <unistd.h>

namespace anneal {

void PagesBehind::drop(std::size_t offset) {
  static const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto end = offset / page_bytes * page_bytes;
  ::madvise(const_cast<char*>(mapped_.data()) + dropped_, end - dropped_, MADV_DONTNEED);
  dropped_ = end;
}

}  // namespace anneal
