#include "train/tensorboard_log.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/clock.h"
#include "base/machine.h"
#include "formats/tfevents.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "events.out.tfevents.";

// Readers take files in the order of their names, so a new one must come last even where a clock went back.
std::int64_t next_second(const fs::path& folder) {
  auto second = static_cast<std::int64_t>(wall_time());
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto name = entry.path().filename().string();
    std::int64_t taken = 0;
    if (!name.starts_with(kPrefix)) continue;
    std::from_chars(name.data() + std::strlen(kPrefix), name.data() + name.size(), taken);
    second = std::max(second, taken + 1);
  }
  return second;
}

fs::path new_file(const fs::path& folder) {
  make_folder(folder, "name another folder with --logging_dir");
  return folder / (kPrefix + std::to_string(next_second(folder)) + "." + host_name() + "." +
                   std::to_string(::getpid()) + ".0");
}

// transformers' rewrite_logs().
std::string tag_of(const std::string& key) {
  for (const std::string group : {"eval", "test"})
    if (key.starts_with(group + "_")) return group + "/" + key.substr(group.size() + 1);
  return "train/" + key;
}

std::string record_of(const Json& event) {
  std::vector<std::pair<std::string, float>> scalars;
  for (const auto& [key, value] : event.items())
    if (value.is_number() && key != "step" && key != "wall_time")
      scalars.emplace_back(tag_of(key), value.get<float>());
  return scalars_record(event.at("wall_time"), event.at("step"), scalars);
}

}  // namespace

TensorBoardLog::TensorBoardLog(const fs::path& folder, const std::optional<Json>& history)
    : file_(new_file(folder)) {
  file_.append(file_version_record(wall_time()));
  if (!history) return;
  // What was said of the last step is said anew: its evaluation may still come.
  const auto last = history->empty() ? 0 : history->back().at("step").get<std::int64_t>();
  file_.append(session_start_record(wall_time(), last));
  for (const auto& event : *history)
    if (event.at("step") == last) add(event);
}

void TensorBoardLog::add_text(const std::string& tag, std::string_view text) {
  file_.append(text_record(wall_time(), tag, text));
}

bool TensorBoardLog::add(const Json& event) { return file_.append(record_of(event)); }

}  // namespace anneal
