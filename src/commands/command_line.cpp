#include "commands/command_line.h"

#include <cstdio>
#include <vector>

#include "base/options.h"
#include "base/termination.h"
#include "commands/engine_loader.h"
#include "commands/prepare_command.h"
#include "commands/rank_launcher.h"
#include "commands/tokenize_command.h"
#include "data/source_files.h"
#include "engine/convert_request.h"
#include "engine/doctor_request.h"
#include "engine/test_request.h"
#include "engine/train_request.h"

namespace anneal {
namespace {

using Arguments = std::span<const std::string>;

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const char* name, Arguments);
  OptionTable (*options)();  // over defaults; for --help and the reference
};

// Parses and checks the options of a command, then runs it: run(options, names given). With --print_config it
// only prints the options.
template <class Options, class Run>
int parse_and_run(const char* command, Arguments arguments, const Run& run) {
  std::vector<std::string> kept;
  bool prints_config = false;
  for (const auto& argument : arguments)
    if (argument == "--print_config" || argument == "--print-config")
      prints_config = true;
    else
      kept.push_back(argument);
  Options options;
  OptionTable table(options);
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
  const auto given = table.parse(kept, problems, warnings);
  options.complete(given, problems);
  if (!is_started_by_us())  // what it started us with was the same
    for (const auto& warning : warnings)
      std::fprintf(stderr, "anneal %s: warning: %s\n", command, warning.c_str());
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  if (prints_config) {
    std::printf("%s\n", table.to_json().dump(2).c_str());
    return 0;
  }
  return run(options, given);
}

template <class Options>
int run_options_in_engine(const char* command, Options& options, const std::set<std::string>& given) {
  return run_in_engine(command, Json({{"options", OptionTable(options).to_json()}, {"given", given}}).dump());
}

// The engine's commands: the options are checked here, before torch is loaded.
template <class Options>
int parse_and_run_in_engine(const char* command, Arguments arguments) {
  return parse_and_run<Options>(command, arguments,
                                [&](Options& options, const std::set<std::string>& given) {
                                  return run_options_in_engine(command, options, given);
                                });
}

// One process trains; of several, this one stays behind to watch over them.
int run_train(const char* command, Arguments arguments) {
  return parse_and_run<TrainRequest>(
      command, arguments, [&](TrainRequest& request, const std::set<std::string>& given) {
        // What is wrong with the data should not wait for a download.
        if (request.dataset.data_dir.empty()) check_dataset_name(request.dataset.hfdc_dataset_name);
        request.model.fetch(request.dataset.offline,
                            [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
        if (!take_given_rank(request.launch, given) && request.launch.world_size() > 1)
          return launch_ranks(command, arguments, request.launch,
                              std::chrono::seconds(request.dist.heartbeat_timeout));
        leave_on_signals();
        return run_options_in_engine(command, request, given);
      });
}

template <class Options>
OptionTable default_options() {
  static Options options;
  return OptionTable(options);
}

constexpr Command kCommands[] = {
    {"train", "Fine-tune a model: a LoRA adapter, or all weights.", run_train, default_options<TrainRequest>},
    {"test", "What a trained model writes for the rows of a test file, and how good that is.",
     parse_and_run_in_engine<TestRequest>, default_options<TestRequest>},
    {"prepare", "Build the data of a run, and show samples as the model will see them.",
     [](const char* name, Arguments arguments) {
       return parse_and_run<PrepareOptions>(name, arguments, run_prepare);
     },
     default_options<PrepareOptions>},
    {"score", "The likelihood that a model gives to the samples of a file.",
     parse_and_run_in_engine<ScoreRequest>, default_options<ScoreRequest>},
    {"convert",
     "A checkpoint as a folder that transformers, PEFT and vLLM load: merged into its base model, or apart.",
     parse_and_run_in_engine<ConvertRequest>, default_options<ConvertRequest>},
    {"doctor", "The devices that this machine can train on, and whether they compute what they should.",
     parse_and_run_in_engine<DoctorRequest>, default_options<DoctorRequest>},
    {"tokenize", "Ids and pieces of each line of standard input.",
     [](const char* name, Arguments arguments) {
       return parse_and_run<TokenizeOptions>(name, arguments, run_tokenize);
     },
     default_options<TokenizeOptions>},
};

// For what is made from the options in other languages.
int print_descriptions() {
  Json all = Json::object();
  for (const auto& command : kCommands) {
    const auto table = command.options();
    for (const auto& option : table.options())
      all[command.name].push_back(
          {{"name", option.name}, {"type", option.type}, {"default", option.value()}, {"help", option.help}});
  }
  std::printf("%s\n", all.dump(2).c_str());
  return 0;
}

int print_reference() {
  std::printf(
      "# Configuration reference\n\n"
      "Made by `tools/make_docs` from the options that the program declares. Each is a flag, and a key of a\n"
      "`--config FILE.json`. `--help` and `--print_config` go with every command.\n");
  for (const auto& command : kCommands)
    std::printf("\n## anneal %s\n\n%s\n\n| flag | type | default | meaning |\n|---|---|---|---|\n%s",
                command.name, command.summary, command.options().markdown_rows().c_str());
  return 0;
}

void print_overview(std::FILE* to) {
  std::fprintf(to, "anneal fine-tunes language models.\n\nUsage: anneal COMMAND [--flag value ...]\n\n");
  for (const auto& command : kCommands) std::fprintf(to, "  %-10s %s\n", command.name, command.summary);
  std::fprintf(to, "\nanneal COMMAND --help lists the flags of a command; anneal --version the version.\n");
}

void print_help(const Command& command) {
  std::printf("anneal %s: %s\n\nFlags, with their defaults:\n%s", command.name, command.summary,
              command.options().help().c_str());
  std::printf("  --config text\n      A JSON file of the same names; flags override it.\n");
}

}  // namespace

int run_command_line(Arguments arguments) {
  if (arguments.empty()) {
    print_overview(stderr);
    return static_cast<int>(ExitCode::kUsage);
  }
  const auto& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    print_overview(stdout);
    return 0;
  }
  if (name == "--version") {
    std::printf("anneal %s\n", ANNEAL_VERSION);
    return 0;
  }
  if (name == "docs")
    return arguments.size() > 1 && arguments[1] == "--json" ? print_descriptions() : print_reference();
  for (const auto& command : kCommands) {
    if (name != command.name) continue;
    for (const auto& argument : arguments.subspan(1))
      if (argument == "--help" || argument == "-h") {
        print_help(command);
        return 0;
      }
    return command.run(command.name, arguments.subspan(1));
  }
  print_overview(stderr);
  fail(ExitCode::kUsage, "there is no command \"" + name + "\"", "", "take one of the commands above");
}

}  // namespace anneal
