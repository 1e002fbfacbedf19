// One checkpoint folder, ours or another program's: its name, and whether all of it is there.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace anneal {

constexpr const char* kCheckpointPrefix = "checkpoint-";

// The step that a name of the form <prefix><step> says.
std::optional<std::int64_t> step_after(const std::string& prefix, const std::string& name);

// The step that a folder's name checkpoint-<step> says.
std::optional<std::int64_t> checkpoint_step(const std::string& name);

// A PEFT adapter; otherwise the folder is taken for a whole model.
bool holds_adapter(const std::filesystem::path& folder);

// What is wrong with the folder, "" where it is complete. Files are held against manifest.json where there is
// one (sizes, SHA-256); other programs write none, so that weights that can be opened must do.
std::string checkpoint_defect(const std::filesystem::path& folder);

}  // namespace anneal
