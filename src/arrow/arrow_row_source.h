// Rows of Arrow record batches.
#pragma once
#include <memory>

#include "data/arrow_rows.h"

namespace anneal {

// Throws UserError(kData) for what is damaged or has a type without a text.
std::unique_ptr<RowSource> make_arrow_row_source(const ArrowInput& input, ColumnPicker& columns);

}  // namespace anneal
