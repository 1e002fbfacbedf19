#include "report/html.h"

#include <fmt/format.h>

#include <array>

#include "base/file.h"

namespace anneal {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string base64_of_hex(std::string_view hex) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bits, text;
  for (const char c : hex) bits += fmt::format("{:04b}", c <= '9' ? c - '0' : c - 'a' + 10);
  while (bits.size() % 6 != 0) bits += '0';
  for (std::size_t at = 0; at < bits.size(); at += 6)
    text += kDigits[static_cast<std::size_t>(std::stoi(bits.substr(at, 6), nullptr, 2))];
  while (text.size() % 4 != 0) text += '=';
  return text;
}

std::string row_html(const std::vector<std::string>& cells, const char* element, bool numeric) {
  std::string row = "<tr>";
  for (std::size_t column = 0; column < cells.size(); ++column)
    row += fmt::format("<{0}{1}>{2}</{0}>", element, numeric && column > 0 ? " class=\"number\"" : "",
                       cells[column]);
  return row + "</tr>\n";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        if ((static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t') || c == 127)
          html += kReplacement;
        else
          html += c;
    }
  }
  return html;
}

std::string script_json(const Json& value) {
  std::string json;
  for (const char c : value.dump(-1, ' ', false, Json::error_handler_t::replace))
    json += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return json;
}

std::string script_hash(std::string_view script) {
  return "'sha256-" + base64_of_hex(sha256_hex(script)) + "'";
}

std::string table_html(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, bool numeric) {
  std::string table =
      "<div class=\"scroll\"><table>\n<thead>" + row_html(head, "th", numeric) + "</thead><tbody>\n";
  for (const auto& row : rows) table += row_html(row, "td", numeric);
  return table + "</tbody></table></div>\n";
}

}  // namespace anneal
