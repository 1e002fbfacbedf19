#include "base/nameless_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace anneal {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

}  // namespace

NamelessFile::NamelessFile(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::string name = (folder_ / "spool-XXXXXX").string();
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail_io("create a temporary file");
  ::unlink(name.c_str());
}

NamelessFile::~NamelessFile() {
  if (mapped_ != nullptr) ::munmap(mapped_, size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void NamelessFile::fail_io(const char* action) const {
  fail(ExitCode::kResources, std::string("cannot ") + action + ": " + std::strerror(errno), folder_.string(),
       "free disk space, or name another folder with --data_dir");
}

void NamelessFile::append(std::string_view bytes) {
  buffer_ += bytes;
  size_ += bytes.size();
  if (buffer_.size() >= kBufferBytes) flush();
}

void NamelessFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const auto count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno != EINTR) fail_io("write a temporary file");
    if (count > 0) rest.remove_prefix(count);
  }
  buffer_.clear();
}

std::string_view NamelessFile::map() {
  flush();
  if (size_ == 0) return {};
  void* start = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (start == MAP_FAILED) fail_io("map a temporary file");
  mapped_ = start;
  return {static_cast<const char*>(start), size_};
}

}  // namespace anneal
