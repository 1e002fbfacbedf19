#include "engine/selftest_stamp.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "device/cuda_object.h"

namespace anneal {
namespace fs = std::filesystem;
namespace {

fs::path cache_folder() {
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return fs::path(text != nullptr ? text : "");
  };
  const auto cache = value("XDG_CACHE_HOME"), home = value("HOME");
  if (cache.is_absolute()) return cache / "anneal";
  return home.is_absolute() ? home / ".cache" / "anneal" : fs::path();
}

std::string identity_of(c10::Device device) {
  const auto& table = *cuda_object().table;
  const auto object = cuda_object_path(), engine = object.parent_path() / "libanneal_engine.so";
  return fmt::format("{} {} driver {} GPU {}", sha256_hex_of_file(object, ExitCode::kInternal),
                     sha256_hex_of_file(engine, ExitCode::kInternal), table.driver_version(),
                     table.device(device.index()).name);
}

void write_stamp(const fs::path& stamp, const std::string& text, const Say& say) {
  try {
    fs::create_directories(stamp.parent_path());
    write_file_atomically(stamp, text);
  } catch (const std::exception& error) {
    say(std::string("notice: the self-test will run again next time: ") + error.what());
  }
}

}  // namespace

fs::path selftest_stamp(const std::string& identity) {
  const auto folder = cache_folder();
  if (folder.empty()) return {};
  constexpr std::size_t kHashDigits = 16;
  return folder / ("selftest-" + sha256_hex(identity).substr(0, kHashDigits));
}

void require_checks(const std::vector<SelfCheck>& checks, const fs::path& stamp, const Say& say) {
  if (!stamp.empty() && fs::exists(stamp)) return;
  say("the self-test of this GPU runs once for each build and driver");
  std::string lines;
  std::vector<Problem> problems;
  for (const auto& result : run_checks(checks)) {
    lines += describe(result) + "\n";
    if (!result.passed())
      problems.push_back(
          {describe(result), "--device", "give --device cpu, and look at `anneal doctor --selftest cuda`"});
  }
  if (!problems.empty()) throw UserError(ExitCode::kResources, problems);
  if (!stamp.empty()) write_stamp(stamp, lines, say);
}

void require_selftest(c10::Device device, const Say& say) {
  require_checks(self_checks(device), selftest_stamp(identity_of(device)), say);
}

}  // namespace anneal
