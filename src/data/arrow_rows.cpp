#include "data/arrow_rows.h"

#include "base/shared_object.h"

namespace anneal {
namespace {

std::unique_ptr<RowSource> open_input(const ArrowInput& input, ColumnPicker& columns) {
  static const auto open = reinterpret_cast<OpenArrowRows*>(
      load_entry("the reader of Parquet and Arrow files", "libanneal_arrow.so", kOpenArrowRows));
  return std::unique_ptr<RowSource>(open(input, columns));
}

}  // namespace

std::unique_ptr<RowSource> open_arrow_rows(const RowFile& file, ColumnPicker& columns) {
  return open_input({file}, columns);
}

std::unique_ptr<RowSource> open_arrow_stream(int descriptor, const std::string& name, ColumnPicker& columns) {
  return open_input({{name, FileKind::kArrow}, descriptor}, columns);
}

}  // namespace anneal
