#include "formats/text_file.h"

#include "formats/unpack.h"

namespace anneal {

TextFile::TextFile(const std::filesystem::path& path, const std::filesystem::path& scratch)
    : file_(path, ExitCode::kData), text_(file_.text()), behind_(text_) {
  if (!is_packed(path)) return;
  unpacked_.emplace(scratch);
  unpack(text_, path, *unpacked_);
  file_.drop_pages();
  text_ = unpacked_->map();
  behind_ = PagesBehind(text_);
}

}  // namespace anneal
