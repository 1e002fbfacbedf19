// A library to preload: calls that change files below FAULT_ROOT are numbered, and the one whose number is
// FAULT_AT goes wrong as FAULT_KIND says: `kill` (the process is killed before it), `torn` (half of a write
// is done, then the process is killed), `short` (a write takes half), or the name of an error (ENOSPC, EIO,
// EROFS), once or, with FAULT_LASTS=1, from then on. With FAULT_PATH only calls on paths that contain it
// count. FAULT_COUNT names a file that gets the number of calls so far.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Call>
Call real(const char* name) {
  return reinterpret_cast<Call>(::dlsym(RTLD_NEXT, name));
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

const std::string root = setting("FAULT_ROOT"), kind = setting("FAULT_KIND"),
                  count_file = setting("FAULT_COUNT"), only_path = setting("FAULT_PATH");
const long fault_at = std::atol(setting("FAULT_AT").c_str());
const bool lasts = setting("FAULT_LASTS") == "1";
std::atomic<long> calls = 0;

int error_number() { return kind == "ENOSPC" ? ENOSPC : kind == "EROFS" ? EROFS : EIO; }

bool is_below_root(std::string path) {
  if (root.empty()) return false;
  if (!path.empty() && path[0] != '/') {
    char folder[PATH_MAX];
    if (::getcwd(folder, sizeof folder) != nullptr) path = std::string(folder) + "/" + path;
  }
  return path.rfind(root + "/", 0) == 0;
}

std::string path_of(int descriptor) {
  char path[PATH_MAX];
  const auto link = "/proc/self/fd/" + std::to_string(descriptor);
  const auto length = ::readlink(link.c_str(), path, sizeof path);
  return length < 0 ? "" : std::string(path, static_cast<std::size_t>(length));
}

std::string path_at(int folder, const char* path) {
  return folder == AT_FDCWD || path[0] == '/' ? path : path_of(folder) + "/" + path;
}

void note_count(long count) {
  if (count_file.empty()) return;
  const int file = real<int (*)(const char*, int, ...)>("open")(count_file.c_str(), O_WRONLY | O_CREAT, 0644);
  const auto text = std::to_string(count) + "\n";
  [[maybe_unused]] const auto written =
      real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite")(file, text.data(), text.size(), 0);
  ::close(file);
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  while (true) ::pause();
}

enum class Fate { kGoesOn, kFails, kHalf, kTorn };

Fate fate_of(const std::string& path) {
  if (!is_below_root(path) || path.find(only_path) == path.npos) return Fate::kGoesOn;
  const long number = ++calls;
  note_count(number);
  if (fault_at <= 0 || (lasts ? number < fault_at : number != fault_at)) return Fate::kGoesOn;
  if (kind == "slow") {
    ::usleep(20'000);
    return Fate::kGoesOn;
  }
  if (kind == "kill") die();
  if (kind == "short") return Fate::kHalf;
  if (kind == "torn") return Fate::kTorn;
  errno = error_number();
  return Fate::kFails;
}

// For calls that either happen or not.
bool fails(const std::string& path) {
  const auto fate = fate_of(path);
  if (fate == Fate::kTorn) die();
  return fate == Fate::kFails;
}

template <class Write>
ssize_t written(int descriptor, size_t bytes, const Write& write) {
  switch (fate_of(path_of(descriptor))) {
    case Fate::kFails:
      return -1;
    case Fate::kHalf:
      return write(bytes > 1 ? bytes / 2 : bytes);
    case Fate::kTorn:
      write(bytes / 2);
      die();
    case Fate::kGoesOn:
      return write(bytes);
  }
  return -1;
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

bool changes(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0; }

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = mode_of(flags, arguments);
  va_end(arguments);
  if (changes(flags) && fails(path)) return -1;
  return real<int (*)(const char*, int, ...)>("open")(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = mode_of(flags, arguments);
  va_end(arguments);
  if (changes(flags) && fails(path)) return -1;
  return real<int (*)(const char*, int, ...)>("open64")(path, flags, mode);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  return written(descriptor, count, [&](size_t some) {
    return real<ssize_t (*)(int, const void*, size_t)>("write")(descriptor, bytes, some);
  });
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  return written(descriptor, count, [&](size_t some) {
    return real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite")(descriptor, bytes, some, offset);
  });
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t count, off64_t offset) {
  return pwrite(descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
  return fails(path_of(descriptor)) ? -1 : real<int (*)(int)>("fsync")(descriptor);
}

int fdatasync(int descriptor) {
  return fails(path_of(descriptor)) ? -1 : real<int (*)(int)>("fdatasync")(descriptor);
}

int ftruncate(int descriptor, off_t length) {
  return fails(path_of(descriptor)) ? -1 : real<int (*)(int, off_t)>("ftruncate")(descriptor, length);
}

int rename(const char* from, const char* to) {
  return fails(to) ? -1 : real<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (fails(path_at(to_folder, to))) return -1;
  return real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2")(from_folder, from,
                                                                                  to_folder, to, flags);
}

int mkdir(const char* path, mode_t mode) {
  return fails(path) ? -1 : real<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int link(const char* from, const char* to) {
  return fails(to) ? -1 : real<int (*)(const char*, const char*)>("link")(from, to);
}

int unlink(const char* path) { return fails(path) ? -1 : real<int (*)(const char*)>("unlink")(path); }

int unlinkat(int folder, const char* path, int flags) {
  return fails(path_at(folder, path)) ? -1
                                      : real<int (*)(int, const char*, int)>("unlinkat")(folder, path, flags);
}

int remove(const char* path) { return fails(path) ? -1 : real<int (*)(const char*)>("remove")(path); }

}  // extern "C"
