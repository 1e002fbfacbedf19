#include "formats/json_object.h"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/json.h"
#include "formats/utf8.h"

namespace anneal {
namespace {

constexpr std::size_t kMaximumDepth = 100;
constexpr std::size_t kInitialCapacity = 1 << 16;
constexpr std::size_t kShownBytes = 160;

// A second, slow parse of a text that was refused, for the place and the reason.
struct DefectFinder : nlohmann::json_sax<Json> {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth <= kMaximumDepth; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return depth-- > 0; }
  bool start_array(std::size_t) override { return ++depth <= kMaximumDepth; }
  bool end_array() override { return depth-- > 0; }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const std::string_view text = error.what();
    const auto detail = text.find("syntax error");
    defect.offset = position > 0 ? position - 1 : 0;
    defect.reason = utf8_prefix(detail == text.npos ? text : text.substr(detail), kShownBytes);
    return false;
  }
  std::size_t depth = 0;
  JsonDefect defect;
};

JsonDefect find_defect(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return {0, "the row is empty"};
  if (const auto offset = find_invalid_utf8(text); offset != text.npos)
    return {offset, "the bytes are not UTF-8"};
  DefectFinder finder;
  if (Json::sax_parse(text.begin(), text.end(), &finder))
    return {0, "a number does not fit 64 bits", /*only_a_large_number=*/true};
  if (finder.depth > kMaximumDepth)
    return {0, "JSON is nested deeper than " + std::to_string(kMaximumDepth) + " levels"};
  return {finder.defect.offset, "not valid JSON: " + finder.defect.reason};
}

void append_number(std::string& text, auto value) {
  char buffer[32];
  text.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

bool is_escaped(unsigned char byte) { return byte < 0x20 || byte == '"' || byte == '\\'; }

// Whether none of 8 bytes is escaped. The highest bit of a byte of (v - n) & ~v tells, as in
// https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord, that one of them is below n.
bool is_clean(const char* bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  const auto quotes = word ^ (kOnes * '"'), backslashes = word ^ (kOnes * '\\');
  const auto found =
      ((word - kOnes * 0x20) & ~word) | ((quotes - kOnes) & ~quotes) | ((backslashes - kOnes) & ~backslashes);
  return (found & (kOnes << 7)) == 0;
}

// The nesting is at most what the parser allowed.
void append_array(std::string& text, simdjson::dom::element value) {
  const simdjson::dom::array array = value.get_array();
  text += '[';
  bool first = true;
  for (const auto item : array) {
    if (!std::exchange(first, false)) text += ',';
    append_json(text, item);
  }
  text += ']';
}

void append_object(std::string& text, simdjson::dom::element value) {
  const simdjson::dom::object object = value.get_object();
  text += '{';
  bool first = true;
  for (const auto field : object) {
    if (!std::exchange(first, false)) text += ',';
    append_json_string(text, field.key);
    text += ':';
    append_json(text, field.value);
  }
  text += '}';
}

}  // namespace

JsonObjectParser::JsonObjectParser() {
  if (parser_.allocate(kInitialCapacity, kMaximumDepth) != simdjson::SUCCESS) throw std::bad_alloc();
}

simdjson::dom::object JsonObjectParser::parse(std::string_view text, std::size_t readable_after) {
  const char* start = text.data();
  if (readable_after < simdjson::SIMDJSON_PADDING) {
    padded_.assign(text);
    padded_.append(simdjson::SIMDJSON_PADDING, ' ');
    start = padded_.data();
  }
  simdjson::dom::element root;
  if (parser_.parse(start, text.size(), /*realloc_if_needed=*/false).get(root) != simdjson::SUCCESS)
    throw find_defect(text);
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) throw JsonDefect{0, "the value is not a JSON object"};
  return object;
}

void append_json_string(std::string& text, std::string_view value) {
  static constexpr char kHex[] = "0123456789abcdef";
  text += '"';
  std::size_t clean_from = 0;
  for (std::size_t index = 0; index < value.size(); ++index) {
    while (index + 8 <= value.size() && is_clean(value.data() + index)) index += 8;
    if (index == value.size()) break;
    const unsigned char byte = value[index];
    if (!is_escaped(byte)) continue;
    text.append(value, clean_from, index - clean_from);
    clean_from = index + 1;
    switch (byte) {
      case '"':
        text += "\\\"";
        break;
      case '\\':
        text += "\\\\";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\t':
        text += "\\t";
        break;
      case '\b':
        text += "\\b";
        break;
      case '\f':
        text += "\\f";
        break;
      default:
        text += "\\u00";
        text += kHex[byte >> 4];
        text += kHex[byte & 15];
    }
  }
  text.append(value, clean_from);
  text += '"';
}

void append_float(std::string& text, double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const int exponent = std::atoi(std::string(std::find(buffer, end, 'e') + 1, end).c_str());
  // Python changes to exponents below 1e-4 and from 1e16 on.
  if (value != 0 && (exponent < -4 || exponent >= 16)) {
    text.append(buffer, end);
    return;
  }
  char fixed[64];
  const std::string_view digits(
      fixed, std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed).ptr - fixed);
  text += digits;
  if (digits.find('.') == digits.npos) text += ".0";
}

void append_json(std::string& text, simdjson::dom::element value) {
  using simdjson::dom::element_type;
  switch (value.type()) {
    case element_type::STRING:
      append_json_string(text, value.get_string().value_unsafe());
      break;
    case element_type::INT64:
      append_number(text, value.get_int64().value_unsafe());
      break;
    case element_type::UINT64:
      append_number(text, value.get_uint64().value_unsafe());
      break;
    case element_type::DOUBLE:
      append_float(text, value.get_double().value_unsafe());
      break;
    case element_type::BOOL:
      text += value.get_bool().value_unsafe() ? "true" : "false";
      break;
    case element_type::NULL_VALUE:
      text += "null";
      break;
    case element_type::ARRAY:
      append_array(text, value);
      break;
    case element_type::OBJECT:
      append_object(text, value);
      break;
  }
}

}  // namespace anneal
