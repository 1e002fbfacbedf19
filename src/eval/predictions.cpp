#include "eval/predictions.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/file.h"

namespace anneal {
namespace {

constexpr const char* kName = "predictions.jsonl";

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

PredictionFiles::PredictionFiles(const std::filesystem::path& folder, const Json& settings, bool resume,
                                 const std::function<void(const std::string&)>& say)
    : folder_(folder), partial_(folder / (std::string(kName) + ".partial")) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  file_ = std::fopen(partial_.c_str(), "a+e");
  if (file_ == nullptr)
    fail(ExitCode::kUsage, std::string("cannot write: ") + std::strerror(errno), partial_.string(),
         "name another folder with --output_dir");
  try {
    if (::flock(::fileno(file_), LOCK_EX | LOCK_NB) != 0)
      fail(ExitCode::kUsage, "another test is working there", folder.string(),
           "wait for it, or name another folder with --output_dir");
    const bool has_begun = std::filesystem::file_size(partial_) > 0;
    if (resume && has_begun) read_partial(settings);
    if (resume)
      say(has_begun ? "going on from " + std::to_string(rows_.size()) + " rows in " + partial_.string()
                    : "there is no unfinished test to go on from; beginning at the first row");
    else if (has_begun)
      say("notice: an unfinished test lay there and is begun again; --resume would have gone on from it");
    if (rows_.empty()) {
      if (::ftruncate(::fileno(file_), 0) != 0)
        fail(ExitCode::kResources, std::string("cannot write: ") + std::strerror(errno), partial_.string(),
             "make room on the disk");
      append(Json({{"settings", settings}}).dump() + "\n");
    }
  } catch (...) {
    std::fclose(file_);
    throw;
  }
}

PredictionFiles::~PredictionFiles() { std::fclose(file_); }

void PredictionFiles::read_partial(const Json& settings) {
  const auto text = read_file(partial_, ExitCode::kData);
  const auto refuse = [&](const std::string& problem) {
    fail(ExitCode::kUsage, problem, partial_.string(),
         "give the same settings as before, or leave out --resume to begin again");
  };
  std::size_t whole = 0;  // bytes of lines that were written to their end
  try {
    for (std::size_t end; (end = text.find('\n', whole)) != text.npos; whole = end + 1) {
      const Json line = Json::parse(text.substr(whole, end - whole));
      if (whole == 0) {
        if (const auto list = differences(settings, line.at("settings")); !list.empty())
          refuse("the unfinished test has other settings: " + list);
        continue;
      }
      auto row = prediction_of(line);
      rows_[row.index] = std::move(row);
    }
  } catch (const Json::exception& error) {
    refuse(std::string("byte ") + std::to_string(whole) + " is not a row of predictions: " + error.what());
  }
  if (::ftruncate(::fileno(file_), static_cast<off_t>(whole)) != 0)
    fail(ExitCode::kResources, std::string("cannot write: ") + std::strerror(errno), partial_.string(),
         "make room on the disk");
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

void PredictionFiles::remove_partial() { std::filesystem::remove(partial_); }

}  // namespace anneal
