#include "commands/completion.h"

#include <fmt/format.h>

#include <algorithm>

namespace anneal {
namespace {

constexpr const char* kOfEveryCommand[] = {"config", "print_config", "help"};

std::string joined(const std::vector<std::string_view>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// The first sentence, without what a shell would take as its own.
std::string short_help(const Option& option) {
  auto text = option.help.substr(0, option.help.find_first_of(".;"));
  std::erase_if(text,
                [](char c) { return std::string_view("'\"[]\\$`:").find(c) != std::string_view::npos; });
  return text;
}

std::string command_names(const std::vector<CompletedCommand>& commands) {
  std::string names;
  for (const auto& command : commands) names += (names.empty() ? "" : " ") + command.name;
  return names;
}

std::vector<std::string> flags_of(const CompletedCommand& command) {
  std::vector<std::string> flags;
  for (const auto& option : command.options.options()) flags.push_back("--" + option.name);
  for (const char* name : kOfEveryCommand) flags.push_back(std::string("--") + name);
  return flags;
}

const Option* positional_of(const CompletedCommand& command) {
  for (const auto& option : command.options.options())
    if (option.traits.positional) return &option;
  return nullptr;
}

// After a flag with choices come these, after one without a value the next flag, else a file.
std::string bash_script(const std::vector<CompletedCommand>& commands) {
  std::string cases, values;
  for (const auto& command : commands) {
    const auto* positional = positional_of(command);
    const auto words = positional != nullptr ? joined(positional->traits.choices) : "";
    cases += fmt::format("    {}) flags='{}' words='{}' ;;\n", command.name,
                         fmt::join(flags_of(command), " "), words);
    for (const auto& option : command.options.options())
      if (option.type == "bool" || !option.traits.choices.empty())
        values += fmt::format("    {}:--{}) choices='{}' takes_value={} ;;\n", command.name, option.name,
                              option.type == "bool" ? "" : joined(option.traits.choices),
                              option.type == "bool" ? 0 : 1);
  }
  return "# Completion of anneal for bash: source <(anneal completion bash)\n"
         "_anneal() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
         "command=${COMP_WORDS[1]}\n"
         "  local flags='' words='' choices='' takes_value=1\n"
         "  COMPREPLY=()\n"
         "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
         "    COMPREPLY=($(compgen -W '" +
         command_names(commands) +
         " --help --version' -- \"$word\"))\n"
         "    return\n"
         "  fi\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "  case $command:$before in\n" +
         values +
         "    *:--print_config|*:--help) takes_value=0 ;;\n"
         "    *:--*) ;;\n"
         "    *) takes_value=0 ;;\n"
         "  esac\n"
         "  if [ \"$takes_value\" = 1 ]; then\n"
         "    if [ -n \"$choices\" ]; then COMPREPLY=($(compgen -W \"$choices\" -- \"$word\")); return; fi\n"
         "  elif [ \"${word:0:1}\" = - ]; then\n"
         "    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n"
         "    return\n"
         "  elif [ -n \"$words\" ]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "    return\n"
         "  fi\n"
         "  compopt -o filenames 2>/dev/null\n"
         "  local IFS=$'\\n'\n"
         "  COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "}\n"
         "complete -F _anneal anneal\n";
}

std::string zsh_argument(const Option& option) {
  const auto star = option.is_list ? "*" : "";
  if (option.type == "bool") return fmt::format("'{}--{}[{}]'", star, option.name, short_help(option));
  const auto values = option.traits.choices.empty() ? "_files" : "(" + joined(option.traits.choices) + ")";
  return fmt::format("'{}--{}[{}]:{}:{}'", star, option.name, short_help(option), option.name, values);
}

std::string zsh_script(const std::vector<CompletedCommand>& commands) {
  std::string names, cases;
  for (const auto& command : commands) {
    names += fmt::format("    '{}:{}'\n", command.name,
                         command.summary.substr(0, command.summary.find_first_of(".:,")));
    cases += fmt::format("    {})\n      _arguments", command.name);
    for (const auto& option : command.options.options()) cases += " \\\n        " + zsh_argument(option);
    cases +=
        " \\\n        '--config[A JSON file of options]:config:_files' '--print_config[Print the options in "
        "force]'"
        " '--help[The flags]'";
    if (const auto* positional = positional_of(command))
      cases += fmt::format(
          " \\\n        '*:{}:{}'", positional->name,
          positional->traits.choices.empty() ? "_files" : "(" + joined(positional->traits.choices) + ")");
    cases += " ;;\n";
  }
  return "#compdef anneal\n"
         "# Completion of anneal for zsh: source <(anneal completion zsh), or a file _anneal in a folder of "
         "$fpath\n"
         "_anneal() {\n"
         "  local -a commands\n  commands=(\n" +
         names +
         "  )\n"
         "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
         "  local command=$words[2]\n"
         "  shift words\n"
         "  (( CURRENT-- ))\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _anneal ]; then _anneal \"$@\"; else compdef _anneal anneal; fi\n";
}

std::string fish_script(const std::vector<CompletedCommand>& commands) {
  std::string script = "# Completion of anneal for fish: anneal completion fish | source\n";
  const auto names = command_names(commands);
  for (const auto& command : commands)
    script +=
        fmt::format("complete -c anneal -f -n 'not __fish_seen_subcommand_from {}' -a {} -d '{}'\n", names,
                    command.name, command.summary.substr(0, command.summary.find_first_of(".:,")));
  for (const auto& command : commands) {
    const auto line = fmt::format("complete -c anneal -n '__fish_seen_subcommand_from {}'", command.name);
    for (const auto& option : command.options.options()) {
      const auto values = option.type == "bool"           ? ""
                          : option.traits.choices.empty() ? " -r -F"
                                                          : " -x -a '" + joined(option.traits.choices) + "'";
      script += fmt::format("{} -l {}{} -d '{}'\n", line, option.name, values, short_help(option));
      if (option.traits.positional && !option.traits.choices.empty())
        script += fmt::format("{} -f -a '{}'\n", line, joined(option.traits.choices));
    }
    script += line + " -l config -r -F -d 'A JSON file of options'\n" + line +
              " -l print_config -d 'Print the options in force'\n" + line + " -l help -d 'The flags'\n";
  }
  return script;
}

}  // namespace

std::string completion_script(const std::string& shell, const std::vector<CompletedCommand>& commands) {
  if (shell == "bash") return bash_script(commands);
  return shell == "zsh" ? zsh_script(commands) : fish_script(commands);
}

}  // namespace anneal
