#include "eval/predictions.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>

#include "base/file.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "predictions.jsonl";

std::string partial_name(int rank) {
  return std::string(kName) + ".partial" + (rank == 0 ? "" : "-" + std::to_string(rank));
}

void cut(const fs::path& path, std::size_t bytes) {
  std::error_code error;
  fs::resize_file(path, bytes, error);
  if (error)
    fail(ExitCode::kResources, "cannot write: " + error.message(), path.string(), "make room on the disk");
}

Prediction prediction_of(const Json& row) {
  return {row.at("index"),         row.at("input"),         row.at("label"),           row.at("prediction"),
          row.at("finish_reason"), row.at("prompt_tokens"), row.at("generated_tokens")};
}

std::string line_of(const Prediction& prediction) {
  return to_json(prediction).dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

// "temperature is 0.7, was 0.1; ..."
std::string differences(const Json& is, const Json& was) {
  std::set<std::string> keys;
  for (const auto& [key, value] : is.items()) keys.insert(key);
  for (const auto& [key, value] : was.items()) keys.insert(key);
  std::string text;
  for (const auto& key : keys) {
    const auto now = is.value(key, Json()), before = was.value(key, Json());
    if (now != before)
      text += (text.empty() ? "" : "; ") + key + " is " + now.dump() + ", was " + before.dump();
  }
  return text;
}

}  // namespace

OrderedJson to_json(const Prediction& prediction) {
  return {{"input", prediction.input},
          {"label", prediction.label},
          {"prediction", prediction.prediction},
          {"index", prediction.index},
          {"finish_reason", prediction.finish_reason},
          {"prompt_tokens", prediction.prompt_tokens},
          {"generated_tokens", prediction.generated_tokens}};
}

PredictionFiles::PredictionFiles(const std::filesystem::path& folder, const Json& settings,
                                 const Continuation& continuation, ProcessGroup& group,
                                 const std::function<void(const std::string&)>& say)
    : folder_(folder), partial_(folder / partial_name(group.rank())), settings_(settings), group_(group) {
  try {
    group.on_all([&] { open(); });
    bool is_going_on = false;
    group.on_root([&] { is_going_on = is_continued(continuation); });
    is_going_on = group.any(is_going_on);
    const bool has_begun = group.any(fs::file_size(partial_) > 0);
    group.on_all([&] {
      if (is_going_on && fs::file_size(partial_) > 0) read_partial(partial_);
      if (group.is_root())
        for (const auto& path : left_over()) is_going_on ? read_partial(path) : void(fs::remove(path));
      if (!is_going_on || fs::file_size(partial_) == 0) begin(continuation.launch_id);
    });
    share();
    if (is_going_on && has_begun)
      say(fmt::format("going on from {} rows in {}", rows_.size(), partial_.string()));
    else if (continuation.resume)
      say("there is no unfinished test to go on from; beginning at the first row");
    else if (has_begun)
      say("notice: an unfinished test lay there and is begun again; --resume would have gone on from it");
  } catch (...) {
    if (file_ != nullptr) std::fclose(file_);
    throw;
  }
}

PredictionFiles::~PredictionFiles() { std::fclose(file_); }

void PredictionFiles::open() {
  std::error_code error;
  fs::create_directories(folder_, error);
  file_ = std::fopen(partial_.c_str(), "a+e");
  if (file_ == nullptr)
    fail(ExitCode::kUsage, std::string("cannot write: ") + std::strerror(errno), partial_.string(),
         "name another folder with --output_dir");
  if (::flock(::fileno(file_), LOCK_EX | LOCK_NB) != 0)
    fail(ExitCode::kUsage, "another test is working there", folder_.string(),
         "wait for it, or name another folder with --output_dir");
}

// The partial files of ranks that there are no longer.
std::vector<fs::path> PredictionFiles::left_over() const {
  std::set<std::string> of_ranks;
  for (int rank = 0; rank < group_.size(); ++rank) of_ranks.insert(partial_name(rank));
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(partial_name(0)) && of_ranks.count(name) == 0) paths.push_back(entry.path());
  }
  return paths;
}

// By the root's partial file, whose first line every test writes.
bool PredictionFiles::is_continued(const Continuation& continuation) const {
  if (continuation.resume || continuation.launch_id.empty()) return continuation.resume;
  const auto text = read_file(partial_, ExitCode::kData);
  const auto first = Json::parse(text.substr(0, text.find('\n')), nullptr, false);
  return first.is_object() && first.value("launch", std::string()) == continuation.launch_id;
}

void PredictionFiles::begin(const std::string& launch_id) {
  cut(partial_, 0);
  append(Json({{"settings", settings_}, {"launch", launch_id}}).dump() + "\n");
}

// Takes the lines that were written to their end, and cuts off the rest.
void PredictionFiles::read_partial(const fs::path& path) {
  const auto text = read_file(path, ExitCode::kData);
  const auto refuse = [&](const std::string& problem) {
    fail(ExitCode::kUsage, problem, path.string(),
         "give the same settings as before, or leave out --resume to begin again");
  };
  std::size_t whole = 0;
  try {
    for (std::size_t end; (end = text.find('\n', whole)) != text.npos; whole = end + 1) {
      const Json line = Json::parse(text.substr(whole, end - whole));
      if (whole == 0) {
        if (const auto list = differences(settings_, line.at("settings")); !list.empty())
          refuse("the unfinished test has other settings: " + list);
        continue;
      }
      auto row = prediction_of(line);
      rows_[row.index] = std::move(row);
    }
  } catch (const Json::exception& error) {
    refuse(std::string("byte ") + std::to_string(whole) + " is not a row of predictions: " + error.what());
  }
  cut(path, whole);
}

void PredictionFiles::share() {
  std::string own;
  for (const auto& [index, row] : rows_) own += line_of(row);
  for (const auto& text : group_.all_gather_text(own)) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      auto row = prediction_of(Json::parse(line));
      rows_[row.index] = std::move(row);
    }
  }
}

void PredictionFiles::append(const std::string& line) {
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0)
    fail(ExitCode::kResources, std::string("cannot write: ") + std::strerror(errno), partial_.string(),
         "make room on the disk, then go on with --resume");
}

void PredictionFiles::add(const Prediction& prediction) {
  append(line_of(prediction));
  rows_[prediction.index] = prediction;
}

std::vector<Prediction> PredictionFiles::write(std::int64_t count) const {
  std::vector<Prediction> rows;
  AtomicFile file(folder_ / kName);
  for (auto row = rows_.begin(); row != rows_.lower_bound(count); ++row) {
    file.append(line_of(row->second));
    rows.push_back(row->second);
  }
  file.commit();
  return rows;
}

void PredictionFiles::remove_partial() {
  for (int rank = 0; rank < group_.size(); ++rank) fs::remove(folder_ / partial_name(rank));
  for (const auto& path : left_over()) fs::remove(path);
}

}  // namespace anneal
