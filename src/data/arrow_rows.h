// Rows of Parquet and Arrow, through a shared object that is loaded when such a file is read: Arrow's
// libraries cost what a command that needs none of them should not pay.
#pragma once
#include <memory>
#include <string>

#include "data/row_source.h"

namespace anneal {

struct ArrowInput {
  RowFile file;
  // Descriptors to read instead of what lies at the path, which is the name in messages.
  int stream = -1;   // with an Arrow IPC stream, such as the end of a pipe
  int content = -1;  // of a file, which stays the caller's
};

inline constexpr const char* kOpenArrowRows = "anneal_open_arrow_rows";
using OpenArrowRows = RowSource*(const ArrowInput&, ColumnPicker&);

// A compressed file is unpacked into a temporary file in `scratch`.
std::unique_ptr<RowSource> open_arrow_rows(const RowFile& file, ColumnPicker& columns,
                                           const std::filesystem::path& scratch);

// Takes `descriptor`, such as the end of a pipe, and closes it.
std::unique_ptr<RowSource> open_arrow_stream(int descriptor, const std::string& name, ColumnPicker& columns);

}  // namespace anneal
