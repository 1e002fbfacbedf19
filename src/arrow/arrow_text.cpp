#include "arrow/arrow_text.h"

#include <arrow/array/array_dict.h>
#include <arrow/array/array_nested.h>
#include <arrow/array/array_primitive.h>
#include <arrow/extension_type.h>
#include <arrow/util/float16.h>

#include <charconv>
#include <cmath>

#include "arrow/python_text.h"
#include "formats/json_object.h"

namespace anneal {
namespace {

void append_nested(std::string& text, const arrow::Array& array, std::int64_t row);

TimeUnit unit_of(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return TimeUnit::kSecond;
    case arrow::TimeUnit::MILLI:
      return TimeUnit::kMilli;
    case arrow::TimeUnit::MICRO:
      return TimeUnit::kMicro;
    default:
      return TimeUnit::kNano;
  }
}

// Minutes east of UTC; nothing for a place such as Europe/Berlin.
std::optional<int> offset_of_zone(const std::string& zone) {
  if (zone == "UTC" || zone == "Z" || zone == "Etc/UTC") return 0;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return std::nullopt;
  int hours = 0, minutes = 0;
  const char* const digits = zone.data();
  if (std::from_chars(digits + 1, digits + 3, hours).ptr != digits + 3 ||
      std::from_chars(digits + 4, digits + 6, minutes).ptr != digits + 6)
    return std::nullopt;
  return (zone[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
}

void append_number(std::string& text, double value, bool in_json) {
  if (std::isnan(value))
    text += in_json ? "NaN" : "nan";
  else if (std::isinf(value))
    text += std::string(value < 0 ? "-" : "") + (in_json ? "Infinity" : "inf");
  else
    append_float(text, value);
}

void append_timestamp(std::string& text, const arrow::TimestampArray& array, std::int64_t row) {
  const auto& type = static_cast<const arrow::TimestampType&>(*array.type());
  append_python_timestamp(text, array.Value(row), unit_of(type.unit()), !type.timezone().empty(),
                          offset_of_zone(type.timezone()).value_or(0));
}

template <class List>
void append_list(std::string& text, const List& list, std::int64_t row) {
  const auto values = list.values();
  text += '[';
  for (std::int64_t item = 0; item < list.value_length(row); ++item) {
    if (item > 0) text += ',';
    append_nested(text, *values, list.value_offset(row) + item);
  }
  text += ']';
}

void append_map(std::string& text, const arrow::MapArray& map, std::int64_t row) {
  text += '[';
  for (std::int64_t item = 0; item < map.value_length(row); ++item) {
    text += item > 0 ? ",[" : "[";
    append_nested(text, *map.keys(), map.value_offset(row) + item);
    text += ',';
    append_nested(text, *map.items(), map.value_offset(row) + item);
    text += ']';
  }
  text += ']';
}

void append_struct(std::string& text, const arrow::StructArray& record, std::int64_t row) {
  const auto& type = static_cast<const arrow::StructType&>(*record.type());
  text += '{';
  for (int field = 0; field < type.num_fields(); ++field) {
    if (field > 0) text += ',';
    append_json_string(text, type.field(field)->name());
    text += ':';
    append_nested(text, *record.field(field), row);
  }
  text += '}';
}

// Of the types that JSON has no word for, what Python's str() says. False where JSON has one.
bool append_as_python(std::string& text, const arrow::Array& array, std::int64_t row) {
  using arrow::Type;
  switch (array.type_id()) {
    case Type::BINARY:
      append_python_bytes(text, static_cast<const arrow::BinaryArray&>(array).GetView(row));
      return true;
    case Type::LARGE_BINARY:
      append_python_bytes(text, static_cast<const arrow::LargeBinaryArray&>(array).GetView(row));
      return true;
    case Type::BINARY_VIEW:
      append_python_bytes(text, static_cast<const arrow::BinaryViewArray&>(array).GetView(row));
      return true;
    case Type::FIXED_SIZE_BINARY:
      append_python_bytes(text, static_cast<const arrow::FixedSizeBinaryArray&>(array).GetView(row));
      return true;
    case Type::DECIMAL32:
      text += static_cast<const arrow::Decimal32Array&>(array).FormatValue(row);
      return true;
    case Type::DECIMAL64:
      text += static_cast<const arrow::Decimal64Array&>(array).FormatValue(row);
      return true;
    case Type::DECIMAL128:
      text += static_cast<const arrow::Decimal128Array&>(array).FormatValue(row);
      return true;
    case Type::DECIMAL256:
      text += static_cast<const arrow::Decimal256Array&>(array).FormatValue(row);
      return true;
    case Type::DATE32:
      append_python_date(text, static_cast<const arrow::Date32Array&>(array).Value(row));
      return true;
    case Type::DATE64:
      append_python_date(text, static_cast<const arrow::Date64Array&>(array).Value(row) / 86'400'000);
      return true;
    case Type::TIME32:
      append_python_time(text, static_cast<const arrow::Time32Array&>(array).Value(row),
                         unit_of(static_cast<const arrow::Time32Type&>(*array.type()).unit()));
      return true;
    case Type::TIME64:
      append_python_time(text, static_cast<const arrow::Time64Array&>(array).Value(row),
                         unit_of(static_cast<const arrow::Time64Type&>(*array.type()).unit()));
      return true;
    case Type::TIMESTAMP:
      append_timestamp(text, static_cast<const arrow::TimestampArray&>(array), row);
      return true;
    case Type::DURATION:
      append_python_duration(text, static_cast<const arrow::DurationArray&>(array).Value(row),
                             unit_of(static_cast<const arrow::DurationType&>(*array.type()).unit()));
      return true;
    default:
      return false;
  }
}

// Numbers, booleans, lists and structs. `in_json`: inside another value.
void append_as_json(std::string& text, const arrow::Array& array, std::int64_t row, bool in_json) {
  using arrow::Type;
  switch (array.type_id()) {
    case Type::BOOL:
      text += static_cast<const arrow::BooleanArray&>(array).Value(row) ? "true" : "false";
      break;
    case Type::INT8:
      text += std::to_string(static_cast<const arrow::Int8Array&>(array).Value(row));
      break;
    case Type::INT16:
      text += std::to_string(static_cast<const arrow::Int16Array&>(array).Value(row));
      break;
    case Type::INT32:
      text += std::to_string(static_cast<const arrow::Int32Array&>(array).Value(row));
      break;
    case Type::INT64:
      text += std::to_string(static_cast<const arrow::Int64Array&>(array).Value(row));
      break;
    case Type::UINT8:
      text += std::to_string(static_cast<const arrow::UInt8Array&>(array).Value(row));
      break;
    case Type::UINT16:
      text += std::to_string(static_cast<const arrow::UInt16Array&>(array).Value(row));
      break;
    case Type::UINT32:
      text += std::to_string(static_cast<const arrow::UInt32Array&>(array).Value(row));
      break;
    case Type::UINT64:
      text += std::to_string(static_cast<const arrow::UInt64Array&>(array).Value(row));
      break;
    case Type::HALF_FLOAT:
      append_number(
          text,
          arrow::util::Float16::FromBits(static_cast<const arrow::HalfFloatArray&>(array).Value(row))
              .ToDouble(),
          in_json);
      break;
    case Type::FLOAT:
      append_number(text, static_cast<const arrow::FloatArray&>(array).Value(row), in_json);
      break;
    case Type::DOUBLE:
      append_number(text, static_cast<const arrow::DoubleArray&>(array).Value(row), in_json);
      break;
    case Type::LIST:
      append_list(text, static_cast<const arrow::ListArray&>(array), row);
      break;
    case Type::LARGE_LIST:
      append_list(text, static_cast<const arrow::LargeListArray&>(array), row);
      break;
    case Type::FIXED_SIZE_LIST:
      append_list(text, static_cast<const arrow::FixedSizeListArray&>(array), row);
      break;
    case Type::MAP:
      append_map(text, static_cast<const arrow::MapArray&>(array), row);
      break;
    default:
      append_struct(text, static_cast<const arrow::StructArray&>(array), row);
  }
}

std::optional<std::string_view> string_in(const arrow::Array& array, std::int64_t row) {
  switch (array.type_id()) {
    case arrow::Type::STRING:
      return static_cast<const arrow::StringArray&>(array).GetView(row);
    case arrow::Type::LARGE_STRING:
      return static_cast<const arrow::LargeStringArray&>(array).GetView(row);
    case arrow::Type::STRING_VIEW:
      return static_cast<const arrow::StringViewArray&>(array).GetView(row);
    default:
      return std::nullopt;
  }
}

// The value itself, of an array that stores it elsewhere; null where it is stored here.
std::shared_ptr<arrow::Array> storage_of(const arrow::Array& array, std::int64_t& row) {
  if (array.type_id() == arrow::Type::EXTENSION)
    return static_cast<const arrow::ExtensionArray&>(array).storage();
  if (array.type_id() != arrow::Type::DICTIONARY) return nullptr;
  const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
  row = dictionary.GetValueIndex(row);
  return dictionary.dictionary();
}

void append_nested(std::string& text, const arrow::Array& array, std::int64_t row) {
  if (array.IsNull(row)) {
    text += "null";
  } else if (const auto storage = storage_of(array, row)) {
    append_nested(text, *storage, row);
  } else if (const auto string = string_in(array, row)) {
    append_json_string(text, *string);
  } else if (std::string python; append_as_python(python, array, row)) {
    append_json_string(text, python);
  } else {
    append_as_json(text, array, row, /*in_json=*/true);
  }
}

// The value at `position` of a list; nothing where it is not as long, or `array` no list.
std::optional<ArrowValue> item_at(const arrow::Array& array, std::int64_t row, std::int64_t position) {
  const auto item_of = [&](const auto& list) -> std::optional<ArrowValue> {
    if (position >= list.value_length(row)) return std::nullopt;
    return ArrowValue{list.values(), list.value_offset(row) + position};
  };
  switch (array.type_id()) {
    case arrow::Type::LIST:
      return item_of(static_cast<const arrow::ListArray&>(array));
    case arrow::Type::LARGE_LIST:
      return item_of(static_cast<const arrow::LargeListArray&>(array));
    case arrow::Type::FIXED_SIZE_LIST:
      return item_of(static_cast<const arrow::FixedSizeListArray&>(array));
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> type_without_text(const arrow::DataType& type) {
  using arrow::Type;
  switch (type.id()) {
    case Type::TIMESTAMP: {
      const auto& zone = static_cast<const arrow::TimestampType&>(type).timezone();
      return zone.empty() || offset_of_zone(zone) ? std::nullopt : std::optional(type.ToString());
    }
    case Type::EXTENSION:
      return type_without_text(*static_cast<const arrow::ExtensionType&>(type).storage_type());
    case Type::DICTIONARY:
      return type_without_text(*static_cast<const arrow::DictionaryType&>(type).value_type());
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION:
    case Type::INTERVAL_MONTHS:
    case Type::INTERVAL_DAY_TIME:
    case Type::INTERVAL_MONTH_DAY_NANO:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
    case Type::RUN_END_ENCODED:
      return type.ToString();
    default:
      for (const auto& field : type.fields())
        if (const auto inside = type_without_text(*field->type())) return inside;
      return std::nullopt;
  }
}

void fill_cell(Cell& cell, const arrow::Array& array, std::int64_t row) {
  cell.text.clear();
  if (array.IsNull(row)) {
    cell.kind = CellKind::kNull;
  } else if (const auto storage = storage_of(array, row)) {
    fill_cell(cell, *storage, row);
  } else if (const auto string = string_in(array, row)) {
    cell.kind = CellKind::kText;
    cell.text = *string;
  } else {
    cell.kind = CellKind::kOther;
    if (!append_as_python(cell.text, array, row)) append_as_json(cell.text, array, row, /*in_json=*/false);
  }
}

std::optional<ArrowValue> value_at(ArrowValue value, const std::vector<std::string>& path) {
  for (const auto& step : path) {
    if (value.array->IsNull(value.row)) return value;
    if (auto storage = storage_of(*value.array, value.row)) value.array = std::move(storage);
    if (value.array->type_id() == arrow::Type::STRUCT) {
      auto field = static_cast<const arrow::StructArray&>(*value.array).GetFieldByName(step);
      if (!field) return std::nullopt;
      value.array = std::move(field);
      continue;
    }
    std::int64_t position = 0;
    const char* const end = step.data() + step.size();
    if (step.empty() || std::from_chars(step.data(), end, position).ptr != end || position < 0)
      return std::nullopt;
    auto item = item_at(*value.array, value.row, position);
    if (!item) return std::nullopt;
    value = std::move(*item);
  }
  return value;
}

}  // namespace anneal
