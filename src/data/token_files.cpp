#include "data/token_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/file.h"
#include "base/folder_entries.h"
#include "data/folder_lock.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDataDigits = 8, kKeyDigits = 16;

struct NameParts {
  std::string stem;  // empty where the name is none of ours
  std::string data;  // the digits of the data's hash; none in names of earlier versions
};

// Cuts "-<digits of a hash>" off, and returns the digits; "" where the name does not end so.
std::string cut_hash(std::string& name, std::size_t digits) {
  const auto dash = name.size() - digits - 1;
  if (name.size() <= digits || name[dash] != '-' ||
      name.find_first_not_of("0123456789abcdef", dash + 1) != name.npos)
    return "";
  const auto hash = name.substr(dash + 1);
  name.erase(dash);
  return hash;
}

NameParts parts_of(const fs::path& file) {
  auto name = file.filename().string();
  if (cut_hash(name, kKeyDigits).empty()) return {};
  const auto data = cut_hash(name, kDataDigits);
  return {name, data};
}

// The file that is being made where `file` is one that is not complete yet, else itself.
fs::path complete(const fs::path& file) {
  const auto name = file.filename().string();
  return file.parent_path() / name.substr(0, name.find(kPartialInfix));
}

// The bytes that are free then; 0 where it stays.
std::uintmax_t removed_bytes(const fs::path& file) {
  const FolderLock making(complete(file));
  if (!making.is_held()) return 0;
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);  // for NFS, where others cannot be locked
  if (descriptor < 0) return 0;
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  const bool removes = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fs::remove(file, error);
  if (removes) making.remove_file();
  ::close(descriptor);
  return removes ? bytes : 0;
}

// All but the last used of them.
std::vector<fs::path> least_used(const std::vector<fs::path>& files, std::size_t stay) {
  std::vector<std::pair<fs::file_time_type, fs::path>> by_use;
  std::error_code error;
  for (const auto& file : files) by_use.emplace_back(fs::last_write_time(file, error), file);
  std::sort(by_use.rbegin(), by_use.rend());
  std::vector<fs::path> others;
  for (std::size_t at = stay; at < by_use.size(); ++at) others.push_back(by_use[at].second);
  return others;
}

}  // namespace

fs::path token_file(const fs::path& data_file, const std::string& data_sha256, const std::string& key) {
  return data_file.parent_path() / "tokens" /
         (data_file.stem().string() + "-" + data_sha256.substr(0, kDataDigits) + "-" +
          key.substr(0, kKeyDigits));
}

TokenFileInUse::TokenFileInUse(const fs::path& file)
    : descriptor_(::open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) return;
  const bool refused = ::flock(descriptor_, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!refused && !is_removed(descriptor_)) {
    ::futimens(descriptor_, nullptr);  // where that is refused, the file cannot be removed either
    return;
  }
  ::close(std::exchange(descriptor_, -1));
}

TokenFileInUse::~TokenFileInUse() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void remove_old_token_files(const fs::path& kept, const std::function<void(const std::string&)>& say) {
  const auto present = parts_of(kept);
  std::vector<fs::path> old, usable;
  for (const auto& file : entries_of(kept.parent_path())) {
    const auto whole = complete(file);
    const auto parts = parts_of(whole);
    if (whole == kept || parts.stem != present.stem) continue;
    (parts.data == present.data && file == whole ? usable : old).push_back(file);
  }
  for (auto& file : least_used(usable, kKeptTokenFiles - 1)) old.push_back(file);  // `kept` is the other
  std::uintmax_t bytes = 0;
  for (const auto& file : old) bytes += removed_bytes(file);
  if (bytes > 0)
    say("note: removed old tokens from " + kept.parent_path().string() + ": " +
        byte_size_text(static_cast<std::int64_t>(bytes)));
}

}  // namespace anneal
