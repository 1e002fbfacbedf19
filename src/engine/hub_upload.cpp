#include "engine/hub_upload.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace anneal {

void upload_to_hub(const std::filesystem::path& folder, const std::string& repository) {
  std::vector<std::string> words = {"hf", "upload", repository, folder.string(), ".", "--repo-type", "model"};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, "hf", nullptr, nullptr, arguments.data(), environ);
  if (error == ENOENT)
    fail(ExitCode::kUsage, "the command `hf` is not installed; the converted folder stays", folder.string(),
         "pip install huggingface_hub, then give the same command again");
  if (error != 0)
    fail(ExitCode::kUsage, std::string("cannot run `hf`: ") + std::strerror(error), folder.string(),
         "install huggingface_hub again");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  fail(ExitCode::kResources, "`hf upload` failed; the converted folder stays", folder.string(),
       "see its message above; log in with `hf auth login` or HF_TOKEN, then give the same command again");
}

}  // namespace anneal
