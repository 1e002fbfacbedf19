#include "hub/repository.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/file.h"
#include "base/folder_entries.h"
#include "base/json.h"
#include "base/nearest.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCommitDigits = 40;
constexpr std::size_t kMaximumId = 96;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

fs::path hub_home() {
  if (const auto home = environment("HF_HOME")) return *home;
  if (const auto cache = environment("XDG_CACHE_HOME")) return fs::path(*cache) / "huggingface";
  return fs::path(environment("HOME").value_or("/")) / ".cache/huggingface";
}

fs::path cache_of(const HubRepository& repository) {
  std::string entry = std::string(repository.kind_name()) + "s--" + repository.id;
  if (const auto slash = entry.find('/'); slash != entry.npos) entry.replace(slash, 1, "--");
  return hub_cache() / entry;
}

bool is_commit(const std::string& revision) {
  return revision.size() == kCommitDigits &&
         std::all_of(revision.begin(), revision.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

std::string commit_of(const HubRepository& repository) {
  if (is_commit(repository.revision)) return repository.revision;
  const auto reference = cache_of(repository) / "refs" / repository.revision;
  std::error_code error;
  if (!fs::is_regular_file(reference, error)) return "";
  auto commit = read_file(reference, ExitCode::kUsage);
  commit.erase(commit.find_last_not_of(" \r\n") + 1);
  return is_commit(commit) ? commit : "";
}

std::vector<std::string> cached_ids(const std::string& kind) {
  const auto prefix = kind + "s--";
  std::vector<std::string> ids;
  for (const auto& entry : entries_of(hub_cache())) {
    auto id = entry.filename().string();
    if (!id.starts_with(prefix)) continue;
    id.erase(0, prefix.size());
    if (const auto dashes = id.find("--"); dashes != id.npos) id.replace(dashes, 2, "/");
    ids.push_back(id);
  }
  return ids;
}

}  // namespace

bool is_hub_id(std::string_view text) {
  const auto is_name = [](std::string_view name) {
    return !name.empty() && name.front() != '.' && name.front() != '-' && name.back() != '.' &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
             return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
           });
  };
  if (text.size() > kMaximumId || text.find("--") != text.npos || text.find("..") != text.npos) return false;
  const auto slash = text.find('/');
  if (slash == text.npos) return is_name(text);
  return is_name(text.substr(0, slash)) && is_name(text.substr(slash + 1));
}

void check_revision(const std::string& revision, const std::string& flag, std::vector<Problem>& problems) {
  const bool is_plain = std::all_of(revision.begin(), revision.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_./").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (!is_plain || revision.empty() || revision.front() == '-' || revision.front() == '/' ||
      revision.find("..") != revision.npos)
    problems.push_back({"\"" + revision + "\" is no revision", flag, "name a branch, a tag or a commit"});
}

fs::path hub_cache() {
  if (const auto cache = environment("HF_HUB_CACHE")) return *cache;
  if (const auto cache = environment("HUGGINGFACE_HUB_CACHE")) return *cache;
  return hub_home() / "hub";
}

std::string hub_endpoint() { return environment("HF_ENDPOINT").value_or("https://huggingface.co"); }

bool has_hub_token() {
  if (environment("HF_TOKEN") || environment("HUGGING_FACE_HUB_TOKEN")) return true;
  const auto kept = environment("HF_TOKEN_PATH");
  std::error_code error;
  return fs::is_regular_file(kept ? fs::path(*kept) : hub_home() / "token", error);
}

bool is_hub_offline() {
  auto value = environment("HF_HUB_OFFLINE").value_or(environment("TRANSFORMERS_OFFLINE").value_or(""));
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::optional<fs::path> cached_snapshot(const HubRepository& repository) {
  const auto commit = commit_of(repository);
  if (commit.empty()) return std::nullopt;
  const auto folder = cache_of(repository) / "snapshots" / commit;
  return is_folder(folder) ? std::optional(folder) : std::nullopt;
}

std::string did_you_mean(const HubRepository& repository) {
  const auto slash = repository.id.find('/');
  const bool may_be_path = slash == std::string::npos || is_folder(repository.id.substr(0, slash));
  if (const auto path = nearest_path(repository.id); may_be_path && !path.empty())
    return "did you mean " + path + ", which is here? If not, ";
  const auto id = nearest_name(repository.id, cached_ids(repository.kind_name()));
  if (id.empty() || id == repository.id) return "";
  // An owner that is the same makes no two names alike.
  const std::string name = id.substr(id.find('/') + 1);
  if (nearest_name(repository.id.substr(slash + 1), {&name, 1}).empty()) return "";
  return "did you mean " + id + ", which is in the cache? If not, ";
}

std::optional<std::vector<std::string>> cached_file_names(const HubRepository& repository) {
  const auto path = cache_of(repository) / "trees" / (commit_of(repository) + ".json");
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  try {
    const Json tree = read_json_file(path, ExitCode::kUsage);
    std::vector<std::string> names;
    for (const auto& [name, entry] : tree.at("files").items()) names.push_back(name);
    return names;
  } catch (const UserError&) {
    return std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace anneal
