// The text of a value in an Arrow array.
#pragma once
#include <arrow/array.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/row_source.h"

namespace anneal {

// The type inside `type` that no text is defined for; nothing where all of it has one.
std::optional<std::string> type_without_text(const arrow::DataType& type);

// Strings as they are; other values as Python's str() has them, but booleans, lists and structs as compact
// JSON.
void fill_cell(Cell& cell, const arrow::Array& array, std::int64_t row);

struct ArrowValue {
  std::shared_ptr<arrow::Array> array;
  std::int64_t row;
};

// What lies at a path of struct fields and list positions; nothing where the path leads nowhere in this row,
// null where it passes a null.
std::optional<ArrowValue> value_at(ArrowValue value, const std::vector<std::string>& path);

}  // namespace anneal
