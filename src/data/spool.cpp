#include "data/spool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace anneal {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

}  // namespace

Spool::Spool(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::string name = (folder_ / "spool-XXXXXX").string();
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail_io("create a temporary file");
  ::unlink(name.c_str());
}

Spool::~Spool() {
  if (mapped_ != nullptr) ::munmap(const_cast<char*>(mapped_), starts_.back());
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Spool::fail_io(const char* action) const {
  fail(ExitCode::kResources, std::string("cannot ") + action + ": " + std::strerror(errno), folder_.string(),
       "free disk space, or name another folder with --data_dir");
}

void Spool::append(std::string_view record) {
  buffer_ += record;
  starts_.push_back(starts_.back() + record.size());
  if (buffer_.size() >= kBufferBytes) flush();
}

void Spool::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const auto count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno != EINTR) fail_io("write a temporary file");
    if (count > 0) rest.remove_prefix(count);
  }
  buffer_.clear();
}

void Spool::finish() {
  flush();
  if (starts_.back() == 0) return;
  void* start = ::mmap(nullptr, starts_.back(), PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (start == MAP_FAILED) fail_io("map a temporary file");
  mapped_ = static_cast<const char*>(start);
}

std::string_view Spool::record(std::int64_t index) const {
  return {mapped_ + starts_[index], starts_[index + 1] - starts_[index]};
}

}  // namespace anneal
