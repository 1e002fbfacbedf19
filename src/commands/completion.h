// Scripts that complete this program's command lines in a shell, made from the option tables.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/options.h"

namespace anneal {

struct CompletionOptions {
  std::string shell;

  static void fields(auto& c, auto field) {
    field("shell", c.shell, "The shell that the script is for.",
          FieldTraits{.choices = {"bash", "zsh", "fish"}, .positional = true, .heading = "Completion"});
  }

  void complete(const std::set<std::string>&, std::vector<Problem>& problems) const {
    if (shell.empty() && problems.empty())
      problems.push_back({"no shell is given", "--shell", "give bash, zsh or fish"});
  }
};

struct CompletedCommand {
  std::string name, summary;
  OptionTable options;
};

// `shell`: one of those above.
std::string completion_script(const std::string& shell, const std::vector<CompletedCommand>& commands);

}  // namespace anneal
