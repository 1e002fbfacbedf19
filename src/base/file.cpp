#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/sha256.h"

namespace anneal {
namespace {

constexpr std::size_t kWriteBufferBytes = 1 << 20;

[[noreturn]] void io_error(const std::string& action, const std::filesystem::path& path, ExitCode code,
                           std::string remedy = "check the path and its permissions") {
  const int error = errno;
  if (error == ENOSPC || error == EDQUOT) {
    code = ExitCode::kResources;
    remedy = "free disk space, or name another folder";
  }
  fail(code, "cannot " + action + ": " + std::strerror(error), path.string(), remedy);
}

int open_for_reading(const std::filesystem::path& path, ExitCode code) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) io_error("read the file", path, code);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    errno = EISDIR;
    io_error("read the file", path, code);
  }
  return descriptor;
}

void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) io_error("write", path, ExitCode::kResources);
    bytes.remove_prefix(count);
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path, ExitCode code) {
  const int descriptor = open_for_reading(path, code);
  std::string text;
  std::string chunk(kWriteBufferBytes, '\0');
  ssize_t count = 0;
  while ((count = ::read(descriptor, chunk.data(), chunk.size())) > 0) text.append(chunk.data(), count);
  ::close(descriptor);
  if (count < 0) io_error("read the file", path, code);
  return text;
}

MappedFile::MappedFile(const std::filesystem::path& path, ExitCode code) {
  const int descriptor = open_for_reading(path, code);
  struct stat status {};
  ::fstat(descriptor, &status);
  const auto size = static_cast<std::size_t>(status.st_size);
  // Writable but private: tensors over the mapping may be handed to interfaces that want a mutable pointer.
  void* start =
      size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
  ::close(descriptor);
  if (start == MAP_FAILED) io_error("map the file", path, code);
  bytes_ = {static_cast<const std::byte*>(start), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::drop_pages() const {
  if (!bytes_.empty()) ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), partial_(path_.string() + kPartialInfix + std::to_string(::getpid())) {
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) io_error("create the file", partial_, ExitCode::kUsage);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_.c_str());
}

void AtomicFile::append(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kWriteBufferBytes) flush();
  if (bytes.size() < kWriteBufferBytes) {
    buffer_ += bytes;
    return;
  }
  write_all(descriptor_, bytes, partial_);
}

void AtomicFile::flush() {
  write_all(descriptor_, buffer_, partial_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  if (::fsync(descriptor_) != 0) io_error("make durable", partial_, ExitCode::kResources);
  if (::rename(partial_.c_str(), path_.c_str()) != 0) io_error("rename", path_, ExitCode::kResources);
  ::close(std::exchange(descriptor_, -1));
  sync_folder(path_.parent_path());
}

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) io_error("create the file", path_, ExitCode::kUsage);
  end_ = ::lseek(descriptor_, 0, SEEK_END);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

bool AppendFile::append(std::string_view piece) {
  pending_ += piece;
  std::size_t done = 0;
  while (done < pending_.size()) {
    const auto count = ::pwrite(descriptor_, pending_.data() + done, pending_.size() - done,
                                end_ + static_cast<std::int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      error_ = errno;
      [[maybe_unused]] const int cut = ::ftruncate(descriptor_, end_);
      return false;
    }
    done += static_cast<std::size_t>(count);
  }
  end_ += static_cast<std::int64_t>(done);
  pending_.clear();
  return true;
}

void AppendFile::sync() const { ::fdatasync(descriptor_); }

void AppendFile::require_written() const {
  if (pending_.empty()) return;
  errno = error_;
  io_error("write", path_, ExitCode::kResources);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.append(bytes);
  file.commit();
}

bool is_folder(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

bool is_removed(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink == 0;
}

bool is_open_for_writing(std::int64_t descriptor) {
  const int flags = ::fcntl(static_cast<int>(descriptor), F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

void make_folder(const std::filesystem::path& folder, const std::string& remedy) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return;
  errno = error.value();
  io_error("make the folder", folder, ExitCode::kUsage, remedy);
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) io_error("open the folder", folder, ExitCode::kResources);
  const int result = ::fsync(descriptor);
  ::close(descriptor);
  if (result != 0) io_error("make durable", folder, ExitCode::kResources);
}

void forget_cached_pages(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
}

// Read and not mapped: pages of a mapping would count as memory of this process.
std::string sha256_hex_of_file(const std::filesystem::path& path, ExitCode code) {
  const int descriptor = open_for_reading(path, code);
  Sha256 hash;
  std::string chunk(kWriteBufferBytes, '\0');
  ssize_t count = 0;
  while ((count = ::read(descriptor, chunk.data(), chunk.size())) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    hash.update({chunk.data(), static_cast<std::size_t>(count)});
  }
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (count < 0) io_error("read the file", path, code);
  return hash.hex();
}

}  // namespace anneal
