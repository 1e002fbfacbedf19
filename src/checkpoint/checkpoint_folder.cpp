#include "checkpoint/checkpoint_folder.h"

#include <charconv>
#include <system_error>

#include "base/error.h"
#include "checkpoint/folder_manifest.h"
#include "formats/safetensors.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

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

std::optional<std::int64_t> step_after(const std::string& prefix, const std::string& name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  std::int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + prefix.size(), end, step);
  if (result.ec != std::errc() || result.ptr != end || step < 0) return std::nullopt;
  return step;
}

std::optional<std::int64_t> checkpoint_step(const std::string& name) {
  return step_after(kCheckpointPrefix, name);
}

bool holds_adapter(const fs::path& folder) { return fs::exists(folder / "adapter_config.json"); }

std::string checkpoint_defect(const fs::path& folder) {
  try {
    if (fs::exists(folder / "manifest.json")) require_manifest_holds(folder);
    require_weights(folder);
  } catch (const UserError& error) {
    const auto& problem = error.problems().front();
    return problem.where + ": " + problem.problem;
  } catch (const fs::filesystem_error& error) {  // no right to look, links in circles
    return error.what();
  }
  return "";
}

}  // namespace anneal
