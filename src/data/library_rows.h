// Rows that the `datasets` library makes, in a Python process of its own.
#pragma once
#include <memory>

#include "data/row_source.h"
#include "data/source_files.h"

namespace anneal {

// The process has no network. Throws UserError(kUsage) where there is no Python, and UserError(kData), also
// from next(), with what the library says.
std::unique_ptr<RowSource> open_library_rows(const LibraryLoad& load, ColumnPicker& columns);

}  // namespace anneal
