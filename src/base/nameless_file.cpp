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
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() < kBufferBytes)
    buffer_ += bytes;
  else
    write_all(bytes);
}

void NamelessFile::flush() {
  write_all(buffer_);
  buffer_.clear();
}

void NamelessFile::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) fail_io("write a temporary file");
    if (count > 0) bytes.remove_prefix(count);
  }
}

void NamelessFile::read(std::size_t offset, std::size_t size, char* to) const {
  while (size > 0) {
    const auto count = ::pread(descriptor_, to, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = EIO;  // it is as long as what was appended
    if (count <= 0) fail_io("read a temporary file");
    to += count;
    offset += count;
    size -= count;
  }
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
