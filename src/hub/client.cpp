#include "hub/client.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/console.h"
#include "base/error.h"
#include "base/json.h"
#include "base/piped_process.h"
#include "base/python_programs.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr auto kProgressInterval = std::chrono::seconds(30);  // where nobody watches a terminal

std::string without_colours(const std::string& text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\033')
      at = std::min(text.find('m', at), text.size() - 1);
    else
      plain += text[at];
  }
  return plain;
}

// Shows the client's progress bars, which end in a carriage return or a line feed.
class ProgressPrinter {
 public:
  void show(const std::string& line) {
    const auto now = std::chrono::steady_clock::now();
    if (console_.shows_progress()) {
      console_.progress(line);
    } else if (now - last_ >= kProgressInterval) {
      console_.say("hub: " + line);
      last_ = now;
    }
  }

 private:
  Console console_{stderr};
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

struct ClientAnswer {
  int status = 0;
  std::string text;  // all that is no progress
};

std::string client_program() {
  if (const auto program = find_python_program("hf")) return program->string();
  fail(ExitCode::kUsage, "the command `hf` is not installed, which speaks to the hub", "PATH",
       "pip install huggingface_hub, then give the same command again");
}

ClientAnswer run_client(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), client_program());
  PipedProcess process(arguments, {"HF_HUB_DISABLE_UPDATE_CHECK=1", "NO_COLOR=1"});
  ProgressPrinter progress;
  ClientAnswer answer;
  std::string rest;
  for (auto chunk = process.read_some(); !chunk.empty(); chunk = process.read_some()) {
    rest += chunk;
    for (auto end = rest.find_first_of("\r\n"); end != rest.npos; end = rest.find_first_of("\r\n")) {
      const auto line = without_colours(rest.substr(0, end));
      rest.erase(0, end + 1);
      if (line.find("%|") != line.npos || line.find("[00:") != line.npos)
        progress.show(line);
      else if (!line.empty())
        answer.text += line + "\n";
    }
  }
  answer.text += without_colours(rest);
  answer.status = process.wait();
  return answer;
}

constexpr auto kFileMissing = {"File not found in", "EntryNotFound"};

bool has_any(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words)
    if (text.find(word) != text.npos) return true;
  return false;
}

// The last line that says something: a traceback ends in what went wrong.
std::string last_line(std::string text) {
  if (const auto hint = text.find("Hint: "); hint != text.npos) text.erase(hint);
  text.erase(text.find_last_not_of(" \n") + 1);
  return text.substr(text.rfind('\n') + 1);
}

// One message for what the client takes many lines for.
[[noreturn]] void fail_client(const HubRepository& repository, const std::string& text) {
  const std::string what = std::string(repository.kind_name()) + " " + repository.id;
  const std::string log_in = "log in with `hf auth login` or set HF_TOKEN";
  const auto where = hub_endpoint();
  if (has_any(text, {"Access denied", "GatedRepo", "gated repo"}))
    fail(ExitCode::kUsage, "the " + what + " is gated: its owner grants access", where,
         "ask for access on its page, then " + log_in);
  if (has_any(text, {"Revision not found", "RevisionNotFound"}))
    fail(ExitCode::kUsage, "the " + what + " has no revision " + repository.revision, where,
         "name a branch, a tag or a commit");
  if (has_any(text, kFileMissing))
    fail(ExitCode::kUsage, "the " + what + " has no such file: " + last_line(text), where,
         "give the same command again: the repository may just have changed");
  if (has_any(text, {"' not found", "RepositoryNotFound"}))
    fail(ExitCode::kUsage, "there is no " + what + ", or it is private", where,
         did_you_mean(repository) + "check the id, or " + log_in + "; a folder is named by its path");
  if (has_any(text, {"401", "Invalid user token", "Unauthorized"}))
    fail(ExitCode::kUsage, "the hub refuses the token", where, log_in);
  if (has_any(text, {"No space left on device"}))
    fail(ExitCode::kResources, "the disk is full", hub_cache().string(),
         "free disk space, or name another folder with HF_HOME");
  if (has_any(text, {"ConnectError", "Connection", "Local entry not found", "timed out", "Timeout",
                     "Name or service not known", "Temporary failure", "Cannot reach"}))
    fail(ExitCode::kDistributed, "the hub cannot be reached for the " + what + ": " + last_line(text), where,
         "check the network and HF_ENDPOINT, then give the same command again: what has arrived is kept");
  fail(ExitCode::kDistributed, "`hf` failed for the " + what + ": " + last_line(text), where,
       "give the same command again: what has arrived is kept");
}

fs::path snapshot_after_download(const HubRepository& repository) {
  if (const auto snapshot = cached_snapshot(repository)) return *snapshot;
  fail_client(repository, "it says that it has downloaded, but nothing is in " + hub_cache().string());
}

// The client takes several names for patterns.
std::string escaped_name(const std::string& name) {
  std::string text;
  for (const char c : name)
    text += c == '[' || c == '*' || c == '?' ? "[" + std::string(1, c) + "]" : std::string(1, c);
  return text;
}

}  // namespace

std::optional<fs::path> download_one_file(const HubRepository& repository, const std::string& name) {
  const auto answer = run_client({"download", repository.id, name, "--repo-type", repository.kind_name(),
                                  "--revision", repository.revision});
  if (answer.status != 0 && has_any(answer.text, kFileMissing)) return std::nullopt;
  if (answer.status != 0) fail_client(repository, answer.text);
  return snapshot_after_download(repository) / name;
}

std::vector<std::string> list_hub_files(const HubRepository& repository) {
  const auto answer =
      run_client({std::string(repository.kind_name()) + "s", "info", repository.id, "--revision",
                  repository.revision, "--expand", "sha,siblings", "--format", "json"});
  if (answer.status != 0) fail_client(repository, answer.text);
  std::vector<std::string> names;
  const auto start = std::min(answer.text.find('{'), answer.text.size());
  try {
    const auto described = Json::parse(answer.text.substr(start));
    for (const auto& file : described.at("siblings")) names.push_back(file.at("rfilename"));
  } catch (const Json::exception&) {
    fail_client(repository, "the list of files is not as expected");
  }
  return names;
}

fs::path download_from_hub(const HubRepository& repository, const HubSelection& selection,
                           const HubLog& log) {
  log("hub: downloading the " + std::string(repository.kind_name()) + " " + repository.id +
      (repository.revision == "main" ? "" : " (" + repository.revision + ")"));
  std::vector<std::string> arguments = {
      "download", repository.id, "--repo-type", repository.kind_name(), "--revision", repository.revision};
  for (const auto& pattern : selection.include) arguments.insert(arguments.end(), {"--include", pattern});
  for (const auto& pattern : selection.exclude) arguments.insert(arguments.end(), {"--exclude", pattern});
  for (const auto& name : selection.names)
    arguments.push_back(selection.names.size() > 1 ? escaped_name(name) : name);
  const auto answer = run_client(arguments);
  if (answer.status != 0) fail_client(repository, answer.text);
  return snapshot_after_download(repository);
}

void upload_to_hub(const fs::path& folder, const std::string& repository) {
  const auto answer = run_client({"upload", repository, folder.string(), ".", "--repo-type", "model"});
  if (answer.status == 0) return;
  fail(ExitCode::kResources, "`hf upload` failed; the converted folder stays: " + last_line(answer.text),
       folder.string(), "log in with `hf auth login` or HF_TOKEN, then give the same command again");
}

}  // namespace anneal
