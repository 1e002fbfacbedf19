#include "checkpoint/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint_folder.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

bool holds_a_run(const fs::path& path) { return fs::exists(path / "run_config.json"); }

void write_manifest(const fs::path& folder, std::int64_t step) {
  Json files = Json::object();
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = {
        {"size", entry.file_size()}, {"sha256", sha256_hex_of_file(entry.path(), ExitCode::kModel)}};
  const Json manifest = {{"version", 1}, {"step", step}, {"files", files}, {"complete", true}};
  write_file_atomically(folder / "manifest.json", manifest.dump(2) + "\n");
}

// The step of a complete checkpoint folder, or -1.
std::int64_t step_of(const fs::path& folder) {
  const auto step = checkpoint_step(folder.filename().string());
  return step && fs::exists(folder / "manifest.json") ? *step : -1;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    fail(ExitCode::kUsage, "cannot make the folder: " + error.message(), path.string(),
         "name another folder with --results_dir");
}

}  // namespace

std::string default_run_name(const std::string& model_id) {
  std::error_code error;
  std::string name;
  if (fs::is_directory(model_id)) name = fs::canonical(model_id, error).filename().string();
  if (name.empty()) name = model_id;
  std::replace(name.begin(), name.end(), '/', '-');
  for (char& c : name)
    if (std::strchr("\\:*?\"<>|", c) != nullptr || static_cast<unsigned char>(c) < 32) c = '_';
  name.erase(0, name.find_first_not_of(".-"));
  return name.empty() ? "run" : name;
}

RunDirectory::RunDirectory(const fs::path& results_dir, const std::string& run_name, bool new_run) {
  make_folder(results_dir);
  path_ = results_dir / run_name;
  for (int number = 2;; ++number) {
    const auto refusal = take();
    if (!refusal) return;
    if (!new_run) fail(ExitCode::kUsage, refusal->problem, path_.string(), refusal->remedy);
    path_ = results_dir / (run_name + "-" + std::to_string(number));
  }
}

std::optional<RunDirectory::Refusal> RunDirectory::take() {
  make_folder(path_);
  lock_ = ::open((path_ / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    fail(ExitCode::kUsage, std::string("cannot write: ") + std::strerror(errno), path_.string(),
         "name another folder with --results_dir");
  std::optional<Refusal> refusal;
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0)
    refusal = {"another run is working there", "wait for it, or give --run_name another name"};
  else if (holds_a_run(path_))
    refusal = {"a run lies there already",
               "give --new_run for a folder beside it, or --run_name another name"};
  if (refusal) ::close(lock_);
  return refusal;
}

RunDirectory::~RunDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

void RunDirectory::save_checkpoint(std::int64_t step, std::int64_t keep,
                                   const std::function<void(const fs::path&)>& write) {
  const std::string name = kCheckpointPrefix + std::to_string(step);
  const auto partial = path_ / (name + ".tmp-" + std::to_string(::getpid()));
  fs::remove_all(partial);
  fs::create_directory(partial);
  try {
    write(partial);
    write_manifest(partial, step);
    sync_folder(partial);
    fs::rename(partial, path_ / name);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    throw;
  }
  sync_folder(path_);
  for (const char* pointer : {"latest", "best"}) write_file_atomically(path_ / pointer, name + "\n");
  rotate(step, keep);
}

void RunDirectory::rotate(std::int64_t newest, std::int64_t keep) {
  std::vector<std::int64_t> steps;
  for (const auto& entry : fs::directory_iterator(path_))
    if (const auto step = step_of(entry.path()); step >= 0 && step != newest) steps.push_back(step);
  std::sort(steps.rbegin(), steps.rend());
  for (std::size_t index = std::max<std::int64_t>(keep - 1, 0); index < steps.size(); ++index) {
    // Renamed first: a folder that is half deleted must not look like a checkpoint.
    const auto name = kCheckpointPrefix + std::to_string(steps[index]);
    const auto trash = path_ / (".trash-" + name);
    fs::rename(path_ / name, trash);
    fs::remove_all(trash);
  }
}

}  // namespace anneal
