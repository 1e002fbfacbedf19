#include "data/arrow_rows.h"

#include "base/file.h"
#include "base/shared_object.h"
#include "formats/unpack.h"

namespace anneal {
namespace {

std::unique_ptr<RowSource> open_input(const ArrowInput& input, ColumnPicker& columns) {
  static const auto open = reinterpret_cast<OpenArrowRows*>(
      load_entry("the reader of Parquet and Arrow files", "libanneal_arrow.so", kOpenArrowRows));
  return std::unique_ptr<RowSource>(open(input, columns));
}

// The rows of a compressed file, and the unpacked copy that they are read from.
class UnpackedRows : public RowSource {
 public:
  UnpackedRows(const RowFile& file, ColumnPicker& columns, const std::filesystem::path& scratch)
      : content_(scratch) {
    const MappedFile packed(file.path, ExitCode::kData);
    unpack(packed.text(), file.path, content_);
    content_.finish();
    rows_ = open_input({.file = file, .content = content_.descriptor()}, columns);
  }
  bool next(std::vector<Cell>& cells) override { return rows_->next(cells); }

 private:
  NamelessFile content_;
  std::unique_ptr<RowSource> rows_;
};

}  // namespace

std::unique_ptr<RowSource> open_arrow_rows(const RowFile& file, ColumnPicker& columns,
                                           const std::filesystem::path& scratch) {
  if (is_packed(file.path)) return std::make_unique<UnpackedRows>(file, columns, scratch);
  return open_input({file}, columns);
}

std::unique_ptr<RowSource> open_arrow_stream(int descriptor, const std::string& name, ColumnPicker& columns) {
  return open_input({{name, FileKind::kArrow}, descriptor}, columns);
}

}  // namespace anneal
