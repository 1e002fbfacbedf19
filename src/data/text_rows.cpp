// Rows of plain text: every line is one, an empty one too, as the `datasets` library has it.
#include "data/row_source.h"
#include "formats/lines.h"
#include "formats/text_file.h"

namespace anneal {
namespace {

class TextRows : public RowSource {
 public:
  TextRows(const RowFile& file, ColumnPicker& columns, const std::filesystem::path& scratch)
      : file_(file.path, scratch), name_(file.path.string()), wanted_(columns.wanted()) {
    text_ = file_.text();
    if (text_.starts_with(kByteOrderMark)) position_ = kByteOrderMark.size();
    for (const auto& use : columns.uses_of("text")) {
      if (!use.path.empty()) continue;
      index_ = use.index;
      columns.mark_found(index_);
    }
  }

  bool next(std::vector<Cell>& cells) override {
    if (position_ >= text_.size()) return false;
    const auto start = position_;
    file_.pass(start);
    const auto line = text_.substr(start, text_.find_first_of("\r\n", start) - start);
    position_ += line.size();
    if (text_.substr(position_).starts_with("\r\n")) ++position_;
    ++position_;
    ++number_;
    require_utf8(line, name_, number_, start);
    cells.assign(wanted_, Cell{});
    if (index_ >= 0) cells[index_] = {std::string(line), CellKind::kText};
    return true;
  }

 private:
  TextFile file_;
  std::string name_;
  std::size_t wanted_;
  std::string_view text_;
  int index_ = -1;
  std::size_t position_ = 0;
  std::int64_t number_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_text_rows(const RowFile& file, ColumnPicker& columns,
                                          const std::filesystem::path& scratch) {
  return std::make_unique<TextRows>(file, columns, scratch);
}

}  // namespace anneal
