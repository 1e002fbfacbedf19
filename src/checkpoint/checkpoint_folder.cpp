#include "checkpoint/checkpoint_folder.h"

#include <charconv>
#include <cstring>
#include <map>
#include <system_error>

#include "base/json.h"
#include "formats/safetensors.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

void require_listed_file(const fs::path& path, const Json& entry, const std::string& where) {
  const auto damaged = [&](const std::string& problem) {
    fail(ExitCode::kModel, problem, path.string(),
         "use another checkpoint; this one is incomplete or changed");
  };
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  if (error) damaged("is listed in manifest.json, but cannot be read: " + error.message());
  const auto wanted = required<std::uint64_t>(entry, "size", where, ExitCode::kModel);
  if (bytes != wanted)
    damaged("has " + std::to_string(bytes) + " bytes, manifest.json says " + std::to_string(wanted));
  if (sha256_hex_of_file(path, ExitCode::kModel) !=
      required<std::string>(entry, "sha256", where, ExitCode::kModel))
    damaged("does not have the SHA-256 that manifest.json says");
}

void require_manifest_holds(const fs::path& folder) {
  const auto path = folder / "manifest.json";
  const auto where = path.string();
  const Json manifest = read_json_file(path, ExitCode::kModel);
  const char* remedy = "use another checkpoint; this one is incomplete";
  if (!manifest.is_object() || !optional<bool>(manifest, "complete", false, where, ExitCode::kModel))
    fail(ExitCode::kModel, "does not say that the checkpoint is complete", where, remedy);
  const auto files = required<std::map<std::string, Json>>(manifest, "files", where, ExitCode::kModel);
  for (const auto& [name, entry] : files) {
    if (fs::path(name).filename() != name || !entry.is_object())
      fail(ExitCode::kModel, "has no valid entry for \"" + name + "\"", where, remedy);
    require_listed_file(folder / name, entry, where);
  }
}

void require_weights(const fs::path& folder) {
  if (holds_adapter(folder)) {
    SafetensorsFile(folder / "adapter_model.safetensors");
  } else if (fs::exists(folder / "config.json")) {
    SafetensorsFolder{folder};
  } else {
    fail(ExitCode::kModel, "there is neither adapter_config.json nor config.json", folder.string(),
         "name a folder with a PEFT adapter or a whole model, in safetensors");
  }
}

}  // namespace

std::optional<std::int64_t> checkpoint_step(const std::string& name) {
  if (name.rfind(kCheckpointPrefix, 0) != 0) return std::nullopt;
  std::int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + std::strlen(kCheckpointPrefix), end, step);
  if (result.ec != std::errc() || result.ptr != end || step < 0) return std::nullopt;
  return step;
}

bool holds_adapter(const fs::path& folder) { return fs::exists(folder / "adapter_config.json"); }

std::string checkpoint_defect(const fs::path& folder) {
  try {
    if (fs::exists(folder / "manifest.json")) require_manifest_holds(folder);
    require_weights(folder);
  } catch (const UserError& error) {
    const auto& problem = error.problems().front();
    return problem.where + ": " + problem.problem;
  }
  return "";
}

}  // namespace anneal
