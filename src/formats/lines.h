// Lines of a text in memory. Only the byte 0x0A ends a line: U+2028 and U+0085 are data.
#pragma once
#include <cstdint>
#include <string_view>

namespace anneal {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Line {
  std::string_view text;           // without the line end and, on line 1, without a byte order mark
  std::int64_t number = 0;         // from 1
  std::size_t offset = 0;          // of text in the whole
  std::size_t readable_after = 0;  // bytes that may be read beyond the end of text
};

class LineCursor {
 public:
  explicit LineCursor(std::string_view whole) : whole_(whole) {
    if (whole.starts_with(kByteOrderMark)) position_ = kByteOrderMark.size();
  }

  // False at the end. A last line without a line end counts, an empty rest does not.
  bool next(Line& line) {
    if (position_ >= whole_.size()) return false;
    const auto end = std::min(whole_.find('\n', position_), whole_.size());
    line.text = whole_.substr(position_, end - position_);
    if (line.text.ends_with('\r')) line.text.remove_suffix(1);
    line.number = ++number_;
    line.offset = position_;
    line.readable_after = whole_.size() - position_ - line.text.size();
    position_ = end + 1;
    return true;
  }

 private:
  std::string_view whole_;
  std::size_t position_ = 0;
  std::int64_t number_ = 0;
};

}  // namespace anneal
