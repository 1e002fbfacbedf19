#include "commands/command_line.h"

#include <cstdio>
#include <vector>

#include "base/console.h"
#include "base/nearest.h"
#include "base/option_text.h"
#include "base/options.h"
#include "base/termination.h"
#include "commands/completion.h"
#include "commands/doctor_command.h"
#include "commands/engine_loader.h"
#include "commands/plan_command.h"
#include "commands/prepare_command.h"
#include "commands/rank_launcher.h"
#include "commands/report_command.h"
#include "commands/tokenize_command.h"
#include "data/dataset_mix.h"
#include "data/source_files.h"
#include "engine/convert_request.h"
#include "engine/doctor_request.h"
#include "engine/test_request.h"
#include "engine/train_request.h"
#include "launch/environment.h"

namespace anneal {
namespace {

using Arguments = std::span<const std::string>;

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const char* name, Arguments);
  OptionTable (*options)();  // over defaults; for --help and the reference
};

// What a command takes: its own options, and those of every command.
template <class Options>
struct CommandOptions {
  Options own;
  ConsoleOptions console;

  static void fields(auto& c, auto field) {
    field("own", c.own, "");
    field("console", c.console, "Output");
  }
};

// Without --print_config, where it is there.
bool takes_print_config(std::vector<std::string>& arguments) {
  return std::erase_if(arguments, [](const std::string& argument) {
           return argument == "--print_config" || argument == "--print-config";
         }) > 0;
}

// Parses and checks the options of a command, then runs it: run(options, names given). With --print_config it
// only prints the options.
template <class Options, class Run>
int parse_and_run(Arguments arguments, const Run& run) {
  std::vector<std::string> kept(arguments.begin(), arguments.end());
  const bool prints_config = takes_print_config(kept);
  CommandOptions<Options> options;
  OptionTable table(options);
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
  const auto given = table.parse(kept, problems, warnings);
  set_console_style(options.console);
  options.own.complete(given, problems);
  if (!is_started_by_us()) {  // what it started us with was the same
    Console console(stderr);
    for (const auto& warning : warnings) console.say("warning: " + warning);
  }
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  if (prints_config) {
    std::printf("%s\n", table.to_json().dump(2).c_str());
    return 0;
  }
  return run(options, given);
}

template <class Options>
int run_options_in_engine(const char* command, CommandOptions<Options>& options,
                          const std::set<std::string>& given) {
  const Json request = {{"options", OptionTable(options.own).to_json()},
                        {"console", OptionTable(options.console).to_json()},
                        {"given", given}};
  return run_in_engine(command, request.dump());
}

// What is safe when a command is ended by a signal. `train` has more to say once it trains.
const char* safe_end(std::string_view command) {
  if (command == "train")
    return "ended before the first step; nothing is lost, the same command begins again";
  if (command == "test") return "ended; finished rows are kept, and --resume goes on from them";
  if (command == "convert") return "ended; no half-written folder is left under the name of the output";
  if (command == "prepare")
    return "ended; a data folder is whole or not there, the same command begins again";
  return "ended; no half-written file is left";
}

// The engine's commands: the options are checked here, before torch is loaded.
template <class Options>
int parse_and_run_in_engine(const char* command, Arguments arguments) {
  return parse_and_run<Options>(arguments,
                                [&](CommandOptions<Options>& options, const std::set<std::string>& given) {
                                  leave_on_signals(safe_end(command));
                                  return run_options_in_engine(command, options, given);
                                });
}

// The commands that need no torch.
template <class Options, int (*run)(Options&, const std::set<std::string>&)>
int parse_and_run_here(const char* command, Arguments arguments) {
  return parse_and_run<Options>(arguments,
                                [&](CommandOptions<Options>& options, const std::set<std::string>& given) {
                                  leave_on_signals(safe_end(command));
                                  return run(options.own, given);
                                });
}

// What is not on this machine is fetched before there are ranks.
void fetch(const TrainRequest& request, const HubLog& say) {
  // What is wrong with the data should not wait for a download.
  std::vector<Problem> ignored;  // validate() has reported them
  if (request.dataset.data_dir.empty())
    for (const auto& dataset : datasets_of(request.dataset, ignored)) check_dataset_name(dataset.name);
  request.model.fetch(request.dataset.offline, say);
}

void fetch(const TestRequest& request, const HubLog& say) { request.checkpoint.fetch_base(say); }

// The commands that one process does, or several together: then this one stays behind to watch over them.
template <class Request>
int parse_and_run_in_ranks(const char* command, Arguments arguments) {
  return parse_and_run<Request>(
      arguments, [&](CommandOptions<Request>& options, const std::set<std::string>& given) {
        auto& request = options.own;
        Console aside(stderr);
        fetch(request, [&](const std::string& line) { aside.say(line); });
        if (!take_given_rank(request.launch, given) && request.launch.world_size() > 1)
          return launch_ranks(command, arguments, request.launch,
                              std::chrono::seconds(request.dist.heartbeat_timeout));
        leave_on_signals(is_first_rank() ? safe_end(command) : "");
        return run_options_in_engine(command, options, given);
      });
}

int run_doctor(const char* command, Arguments arguments) {
  return parse_and_run<DoctorRequest>(
      arguments, [&](CommandOptions<DoctorRequest>& options, const std::set<std::string>& given) {
        say_findings_without_engine();
        return run_options_in_engine(command, options, given);
      });
}

int run_completion(CompletionOptions& options, const std::set<std::string>&);

template <class Options>
OptionTable default_options() {
  static CommandOptions<Options> options;
  return OptionTable(options);
}

constexpr Command kCommands[] = {
    {"train", "Fine-tune a model: a LoRA adapter, or all weights.", parse_and_run_in_ranks<TrainRequest>,
     default_options<TrainRequest>},
    {"test", "What a trained model writes for the rows of a test file, and how good that is.",
     parse_and_run_in_ranks<TestRequest>, default_options<TestRequest>},
    {"prepare", "Build the data of a run, and show samples as the model will see them.",
     parse_and_run_here<PrepareOptions, run_prepare>, default_options<PrepareOptions>},
    {"score", "The likelihood that a model gives to the samples of a file.",
     parse_and_run_in_engine<ScoreRequest>, default_options<ScoreRequest>},
    {"convert",
     "A checkpoint as a folder that transformers, PEFT and vLLM load: merged into its base model, or apart.",
     parse_and_run_in_engine<ConvertRequest>, default_options<ConvertRequest>},
    {"plan",
     "What a training needs before anything is loaded: memory of each device, speed, time, what fits.",
     parse_and_run_here<PlanOptions, run_plan>, default_options<PlanOptions>},
    {"report", "One page about a run, or several beside each other: curves, data, options, predictions.",
     parse_and_run_here<ReportOptions, run_report>, default_options<ReportOptions>},
    {"doctor",
     "What this machine has of all that the program may need, with the remedy where it lacks something.",
     run_doctor, default_options<DoctorRequest>},
    {"tokenize", "Ids and pieces of each line of standard input.",
     parse_and_run_here<TokenizeOptions, run_tokenize>, default_options<TokenizeOptions>},
    {"completion", "A script that completes command lines of this program in bash, zsh or fish.",
     parse_and_run_here<CompletionOptions, run_completion>, default_options<CompletionOptions>},
};

int run_completion(CompletionOptions& options, const std::set<std::string>&) {
  std::vector<CompletedCommand> commands;
  for (const auto& command : kCommands)
    commands.push_back({command.name, command.summary, command.options()});
  std::fputs(completion_script(options.shell, commands).c_str(), stdout);
  return 0;
}

std::string nearest_command(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& command : kCommands) names.emplace_back(command.name);
  return nearest_name(name, names);
}

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
                command.name, command.summary, markdown_rows(command.options()).c_str());
  return 0;
}

void print_overview(std::FILE* to) {
  std::fprintf(to, "anneal fine-tunes language models.\n\nUsage: anneal COMMAND [--flag value ...]\n\n");
  for (const auto& command : kCommands) std::fprintf(to, "  %-10s %s\n", command.name, command.summary);
  std::fprintf(to, "\nanneal COMMAND --help lists the flags of a command; anneal --version the version.\n");
}

void print_help(const Command& command) {
  const auto table = command.options();
  std::printf("anneal %s: %s\n\nUsage: anneal %s%s [--flag value ...]\n%s", command.name, command.summary,
              command.name, positional_text(table).c_str(), help_text(table).c_str());
  std::printf(
      "\nMore\n  --config text\n      A JSON file of the same names; flags override it.\n"
      "  --print_config\n      Print the options that are in force, as such a file, and do nothing.\n");
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
  const auto nearest = nearest_command(name);
  if (nearest.empty()) print_overview(stderr);
  fail(ExitCode::kUsage, "there is no command \"" + name + "\"", "",
       nearest.empty() ? "take one of the commands above" : "did you mean \"" + nearest + "\"?");
}

}  // namespace anneal
