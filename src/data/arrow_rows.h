// Rows of Parquet and Arrow, through a shared object that is loaded when such a file is read: Arrow's
// libraries cost what a command that needs none of them should not pay.
#pragma once
#include <memory>
#include <string>

#include "data/row_source.h"

namespace anneal {

struct ArrowInput {
  RowFile file;
  int stream = -1;  // a descriptor with an Arrow IPC stream to read instead; the path is its name in messages
};

inline constexpr const char* kOpenArrowRows = "anneal_open_arrow_rows";
using OpenArrowRows = RowSource*(const ArrowInput&, ColumnPicker&);

std::unique_ptr<RowSource> open_arrow_rows(const RowFile& file, ColumnPicker& columns);

// Takes `descriptor`, such as the end of a pipe, and closes it.
std::unique_ptr<RowSource> open_arrow_stream(int descriptor, const std::string& name, ColumnPicker& columns);

}  // namespace anneal
