// A temporary file without a name: bytes that would not fit memory, gone when the process is.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace anneal {

class NamelessFile {
 public:
  // Throws UserError(kResources) here and below where the disk refuses.
  explicit NamelessFile(std::filesystem::path folder);
  ~NamelessFile();
  NamelessFile(const NamelessFile&) = delete;
  NamelessFile& operator=(const NamelessFile&) = delete;

  void append(std::string_view bytes);
  // Of what was appended, by any thread, once nothing is appended any more.
  void finish() { flush(); }
  void read(std::size_t offset, std::size_t size, char* to) const;
  // To be read from, after finish(); stays this one's.
  int descriptor() const { return descriptor_; }
  // All that was appended, as long as this lives. Call once, last.
  std::string_view map();

 private:
  void flush();
  void write_all(std::string_view bytes);
  [[noreturn]] void fail_io(const char* action) const;

  std::filesystem::path folder_;
  int descriptor_ = -1;
  std::size_t size_ = 0;
  std::string buffer_;
  void* mapped_ = nullptr;
};

}  // namespace anneal
