// Whole files: read, map, write atomically. All errors are UserErrors that name the path.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"

namespace anneal {

// Throws UserError(code) when the file is missing or unreadable.
std::string read_file(const std::filesystem::path& path, ExitCode code);

// A read-only memory map, private to the process. An empty file gives an empty span.
class MappedFile {
 public:
  MappedFile(const std::filesystem::path& path, ExitCode code);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives the memory of what was read back to the system; reading it again fetches it from the file again.
  void drop_pages() const;
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::span<const std::byte> bytes_;
};

// A file that is not complete yet is named <file>.partial.<pid>.
constexpr const char* kPartialInfix = ".partial.";

// Readers see the old file or the whole new one. Without commit() nothing is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);  // opens the partial file beside it
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void append(std::string_view bytes);
  void commit();  // flush, fsync, rename; call once, last

 private:
  void flush();
  int descriptor_;
  std::filesystem::path path_, partial_;
  std::string buffer_;
};

// A file that grows by whole pieces. What the disk refuses is kept, and tried again with the next piece.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path);  // goes on at its end; throws UserError(kUsage)
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Whether the file now holds everything. Where not, it ends behind the last piece that it took whole.
  bool append(std::string_view piece);
  void sync() const;             // durable, as far as it is written; may be called on any thread
  void require_written() const;  // throws UserError(kResources) where the last append() returned false
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::int64_t end_ = 0;
  std::string pending_;
  int error_ = 0;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

// False where the path cannot be looked at, too: a name that is too long, a loop of links.
bool is_folder(const std::filesystem::path& path);

bool is_open_for_writing(std::int64_t descriptor);

// Whether no name leads to the open file any more.
bool is_removed(int descriptor);

// Makes the folder and its parents. Throws UserError(kUsage) with the remedy.
void make_folder(const std::filesystem::path& folder, const std::string& remedy);

// Makes renames and new names inside `folder` durable.
void sync_folder(const std::filesystem::path& folder);

// What is read of the file next comes from the disk itself, where the system goes along.
void forget_cached_pages(const std::filesystem::path& path);

// 64 lower-case hex digits.
std::string sha256_hex_of_file(const std::filesystem::path& path, ExitCode code);

}  // namespace anneal
