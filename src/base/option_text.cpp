#include "base/option_text.h"

#include <algorithm>
#include <sstream>

namespace anneal {
namespace {

std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) line += c == '\n' ? std::string("\\n") : std::string(1, c);
  return line;
}

// What stands for the value in a usage line: "RUN" of the option `runs`.
std::string placeholder(const Option& option) {
  auto name = option.name;
  if (option.is_list && name.ends_with('s')) name.pop_back();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

std::string with_notes(const Option& option) {
  return option.help + (option.is_list ? " May be given several times." : "") +
         (option.traits.positional ? " May be given without the flag's name." : "");
}

// Lines of at most a hundred columns, indented.
std::string wrapped(const std::string& text) {
  constexpr std::size_t kColumns = 100;
  const std::string indent(6, ' ');
  std::string lines, line = indent;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kColumns && line != indent) {
      lines += line + "\n";
      line = indent;
    }
    line += (line == indent ? "" : " ") + word;
  }
  return lines + line + "\n";
}

std::string escaped_cell(std::string cell) {
  for (std::size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) cell.insert(at, "\\");
  return cell;
}

}  // namespace

std::string choices_text(const Option& option) {
  std::string text;
  for (const auto choice : option.traits.choices) text += (text.empty() ? "" : "|") + std::string(choice);
  return text;
}

std::string positional_text(const OptionTable& table) {
  for (const auto& option : table.options())
    if (option.traits.positional) return " " + placeholder(option) + (option.is_list ? "..." : "");
  return "";
}

std::string help_text(const OptionTable& table) {
  std::string text, heading;
  for (const auto& option : table.options()) {
    if (option.heading != heading) text += "\n" + option.heading + "\n";
    heading = option.heading;
    const auto choices = choices_text(option);
    text +=
        "  --" + option.name + (option.type == "bool" ? "" : " " + (choices.empty() ? option.type : choices));
    if (!option.default_text.empty()) text += "  [" + one_line(option.default_text) + "]";
    text += "\n" + wrapped(with_notes(option));
  }
  return text;
}

std::string markdown_rows(const OptionTable& table) {
  std::string text;
  for (const auto& option : table.options()) {
    const auto choices = choices_text(option);
    text += "| `--" + option.name + "` | " + escaped_cell(choices.empty() ? option.type : choices) + " | " +
            (option.default_text.empty() ? "" : "`" + escaped_cell(one_line(option.default_text)) + "`") +
            " | " + escaped_cell(with_notes(option)) + " |\n";
  }
  return text;
}

}  // namespace anneal
