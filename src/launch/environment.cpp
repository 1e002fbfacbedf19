#include "launch/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace anneal {

Environment current_environment() {
  Environment variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != text.npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

std::vector<std::string> to_entries(const Environment& environment) {
  std::vector<std::string> entries;
  for (const auto& [name, value] : environment) entries.push_back(name + "=" + value);
  return entries;
}

bool is_first_rank() {
  const char* rank = std::getenv(kRank);
  return rank == nullptr || *rank == '\0' || std::string_view(rank) == "0";
}

std::string current_launch_id() {
  const char* id = std::getenv(kLaunchId);
  return id == nullptr ? "" : id;
}

}  // namespace anneal
