// The bytes of a text file that may be compressed.
#pragma once
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/nameless_file.h"
#include "base/pages_behind.h"

namespace anneal {

class TextFile {
 public:
  // A .gz or .zst file is unpacked into a temporary file in `scratch`, so that memory stays flat. Throws
  // UserError(kData) for a damaged one.
  TextFile(const std::filesystem::path& path, const std::filesystem::path& scratch);

  std::string_view text() const { return text_; }
  void pass(std::size_t offset) { behind_.pass(offset); }  // see PagesBehind

 private:
  MappedFile file_;
  std::optional<NamelessFile> unpacked_;
  std::string_view text_;
  PagesBehind behind_;
};

}  // namespace anneal
