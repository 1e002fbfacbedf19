// A repository of the Hugging Face Hub, and what of it lies in the Hub's cache on this machine.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace anneal {

enum class RepositoryKind { kModel, kDataset };

struct HubRepository {
  RepositoryKind kind = RepositoryKind::kModel;
  std::string id;                 // such as Qwen/Qwen3-8B
  std::string revision = "main";  // branch, tag or commit

  const char* kind_name() const { return kind == RepositoryKind::kModel ? "model" : "dataset"; }
};

// Whether `text` has the shape of an id: "name" or "owner/name".
bool is_hub_id(std::string_view text);

// A mistake that can be seen without the network.
void check_revision(const std::string& revision, const std::string& flag, std::vector<Problem>& problems);

// $HF_HUB_CACHE, $HF_HOME/hub, or below $XDG_CACHE_HOME or ~/.cache, as huggingface_hub has it.
std::filesystem::path hub_cache();

// $HF_ENDPOINT, or the public Hub.
std::string hub_endpoint();

// Whether the client will send a token: $HF_TOKEN, or what `hf auth login` has kept.
bool has_hub_token();

// Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE turns the network off.
bool is_hub_offline();

// The folder of the revision's files, which may be only some of them; nothing where there is none.
std::optional<std::filesystem::path> cached_snapshot(const HubRepository& repository);

// What an id that is nowhere may have meant, to go before another remedy: "did you mean ...? If not, " with a
// path here or an id of the same kind in the cache; "" where nothing is like it.
std::string did_you_mean(const HubRepository& repository);

// The names of all files of a cached revision, as the Hub's client has noted them; nothing where it has not.
std::optional<std::vector<std::string>> cached_file_names(const HubRepository& repository);

}  // namespace anneal
