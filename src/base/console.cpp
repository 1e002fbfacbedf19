#include "base/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/clock.h"

namespace anneal {
namespace {

constexpr std::string_view kWarning = "warning: ", kNotice = "notice: ";
constexpr const char *kYellow = "\033[33m", *kRed = "\033[31m", *kPlain = "\033[0m";

ConsoleOptions style_now;

bool speaks_json() { return style_now.log_format == "json"; }

bool is_dumb() {
  const char* term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) == "dumb";
}

// https://no-color.org: any text but the empty one turns colours off.
bool may_have_color(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  return ::isatty(descriptor) == 1 && !is_dumb() && (no_color == nullptr || *no_color == '\0');
}

std::string json_line(Json object, const char* level) {
  object["time"] = wall_time();
  object["level"] = level;
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

const char* level_of(std::string_view line) {
  if (line.starts_with(kWarning)) return "warning";
  return line.starts_with(kNotice) ? "notice" : "info";
}

std::size_t columns_of(std::FILE* to) {
  struct winsize size {};
  return ::ioctl(::fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// A line that is wider than the screen could not be replaced.
std::string fitted(const std::string& line, std::size_t columns) {
  std::size_t used = 0;
  for (std::size_t at = 0; at < line.size(); ++at)
    if ((static_cast<unsigned char>(line[at]) & 0xC0) != 0x80 && ++used == columns) return line.substr(0, at);
  return line;
}

void print_error(const std::string& command, const Json& object, const std::string& text) {
  const auto name = command.empty() ? std::string("anneal") : "anneal " + command;
  if (speaks_json()) {
    std::fputs(json_line(object, "error").c_str(), stderr);
    return;
  }
  const bool has_color = may_have_color(STDERR_FILENO);
  std::fprintf(stderr, "%s%s:%s %s\n", has_color ? kRed : "", name.c_str(), has_color ? kPlain : "",
               text.c_str());
}

}  // namespace

void set_console_style(const ConsoleOptions& style) { style_now = style; }

Console::Console(std::FILE* to, bool speaks)
    : to_(to),
      speaks_(speaks),
      is_terminal_(::isatty(::fileno(to)) == 1 && !is_dumb()),
      has_color_(may_have_color(::fileno(to)) && !speaks_json()) {}

Console::~Console() { clear_progress(); }

bool Console::shows_progress() const { return speaks_ && is_terminal_ && !speaks_json() && !style_now.quiet; }

void Console::clear_progress() {
  if (!has_progress_) return;
  std::fputs("\r\033[K", to_);
  std::fflush(to_);
  has_progress_ = false;
}

void Console::write(const std::string& line) {
  if (!speaks_) return;
  clear_progress();
  std::fputs(line.c_str(), to_);
  std::fflush(to_);
}

void Console::say(const std::string& line) {
  const bool is_warning = line.starts_with(kWarning);
  if (style_now.quiet && !is_warning) return;
  if (speaks_json())
    write(json_line({{"message", line}}, level_of(line)));
  else if (has_color_ && is_warning)
    write(kYellow + std::string(kWarning) + kPlain + line.substr(kWarning.size()) + "\n");
  else
    write(line + "\n");
}

void Console::say_figures(const Json& figures, const std::string& line) {
  if (style_now.quiet) return;
  write(speaks_json() ? json_line(figures, "figures") : line + "\n");
}

void Console::progress(const std::string& line) {
  if (!shows_progress()) return;
  std::fputs(("\r\033[K" + fitted(line, columns_of(to_))).c_str(), to_);
  std::fflush(to_);
  has_progress_ = true;
}

void print_error(const std::string& command, const UserError& error) {
  Json problems = Json::array();
  for (const auto& [problem, where, remedy] : error.problems())
    problems.push_back({{"problem", problem}, {"where", where}, {"remedy", remedy}});
  const auto code = static_cast<int>(error.code());
  print_error(command,
              {{"message", error.what()}, {"command", command}, {"problems", problems}, {"exit_code", code}},
              error.what());
}

void print_internal_error(const std::string& command, const std::string& problem) {
  const auto text = "internal error: " + problem;
  print_error(command,
              {{"message", text}, {"command", command}, {"exit_code", static_cast<int>(ExitCode::kInternal)}},
              text);
}

std::string aside_line(const std::string& command, const std::string& text) {
  if (speaks_json()) return json_line({{"message", text}, {"command", command}}, level_of(text));
  return "anneal " + command + ": " + text + "\n";
}

std::string notice_line(const std::string& text) {
  return speaks_json() ? json_line({{"message", text}}, "notice") : "\n" + text + "\n";
}

}  // namespace anneal
