#include "engine/resume.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/options.h"
#include "base/random_id.h"
#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/folder_manifest.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

// What a state's tensors hang on: even --resume PATH cannot change it.
const std::set<std::string> kShape = {"full_ft",      "lora_rank",  "lora_alpha", "lora_target_modules",
                                      "init_adapter", "use_rslora", "use_dora"};

struct Difference {
  std::string option, before, now;
};

std::set<std::string> names_of_data_options() {
  DatasetOptions data;
  std::set<std::string> names;
  const OptionTable table(data);
  for (const auto& option : table.options()) names.insert(option.name);
  return names;
}

// Samples of one optimizer step: how they are put together does not count.
constexpr const char* kBatch = "per_device_train_batch_size";
constexpr const char* kAccumulation = "gradient_accumulation_steps";

// Data are compared by their content, not by how they were made.
std::vector<Difference> differences(TrainRequest request, const RunRecord& record, int ranks) {
  const Json& before = record.options;
  std::vector<Difference> found;
  const OptionTable table(request);
  const auto of_data = names_of_data_options();
  const Json all = table.to_json();
  const auto pool = [](const Json& options) {
    return options.value(kBatch, std::int64_t{0}) * options.value(kAccumulation, std::int64_t{0});
  };
  for (const auto& option : table.options()) {
    const auto& name = option.name;
    if (option.traits.may_differ || of_data.count(name) != 0 || !before.contains(name)) continue;
    if ((name == kBatch || name == kAccumulation) && pool(all) * ranks == pool(before) * record.plan.ranks)
      continue;
    if (before[name] != all[name]) found.push_back({name, before[name].dump(), all[name].dump()});
  }
  return found;
}

std::string text_of(const std::vector<Difference>& all) {
  std::string text;
  for (const auto& [option, before, now] : all)
    text += fmt::format("{}{}: {} there, {} now", text.empty() ? "" : "; ", option, before, now);
  return text;
}

std::string remedy(const std::string& state) {
  return state.empty() ? "give --new_run for a folder beside it, or --run_name another name"
                       : "give --resume " + state +
                             " to go on from there with what is new, or --new_run for a run of "
                             "its own in a folder beside it";
}

[[noreturn]] void refuse_model(const fs::path& folder) {
  fail(ExitCode::kUsage,
       "the run there trains another model (its config.json, tokenizer.json or weights differ)",
       folder.string(), "give --run_name another name");
}

std::string resumed_from_text(const RunStart& start) {
  return start.record.run_id + " step " + std::to_string(start.state->step);
}

// The state of a folder, checked; throws UserError(kModel).
RunState checked_state(const fs::path& folder) {
  require_manifest_holds(folder);
  return read_run_state(folder);
}

// The newest state of this run that holds.
void take_newest_state(RunStart& start, const RunDirectory& directory, RunLog& log) {
  const auto states = directory.states();
  std::string damaged;
  for (const auto& folder : states) {
    const auto manifest = read_folder_manifest(folder);
    if (manifest && manifest->run_id != start.record.run_id) {
      log.say("notice: " + folder.string() + " belongs to another run and is passed over");
      continue;
    }
    try {
      start.state = checked_state(folder);
      start.state_folder = folder;
      start.state_data_sha256 = read_run_record(folder).data_sha256;
      return;
    } catch (const UserError& error) {
      const auto& problem = error.problems().front();
      log.say(fmt::format("warning: {} is damaged and is passed over: {} {}", folder.string(), problem.where,
                          problem.problem));
      damaged = folder.string();
    }
  }
  if (!damaged.empty())
    fail(ExitCode::kModel, "every state to resume from is damaged", damaged,
         "give --new_run to begin afresh in a folder beside it, or --init_adapter one of its checkpoints");
  log.say("the run there has no state to resume from yet: it starts again");
}

RunStart continued(const TrainRequest& request, RunDirectory& directory, const BaseModelId& base, RunLog& log,
                   int ranks) {
  RunStart start;
  start.continues = true;
  start.record = read_run_record(directory.path());
  directory.set_run_id(start.record.run_id);
  directory.tidy();
  if (start.record.base != base) refuse_model(directory.path());
  const auto states = directory.states();
  if (const auto changed = differences(request, start.record, ranks); !changed.empty())
    fail(ExitCode::kUsage, "the run there has another recipe: " + text_of(changed), directory.path().string(),
         remedy(states.empty() ? "" : states.front().string()));
  take_newest_state(start, directory, log);
  return start;
}

// The state that --resume names, and where it comes from. Throws UserError where it cannot be gone on from.
RunStart named_state(const TrainRequest& request, const BaseModelId& base) {
  RunStart start;
  start.state_folder = request.run.resume;
  if (!holds_run_state(start.state_folder))
    fail(ExitCode::kModel, "holds no state to resume from", start.state_folder.string(),
         "name a run's resume/step-<step>, or give auto or none");
  start.state = checked_state(start.state_folder);
  start.record = read_run_record(start.state_folder);
  start.state_data_sha256 = start.record.data_sha256;
  if (start.record.base != base) refuse_model(start.state_folder);
  return start;
}

// Whether the run in the folder was begun from this state before.
bool is_begun(const RunStart& start, const RunDirectory& directory) {
  return directory.has_run() && read_run_record(directory.path()).resumed_from == resumed_from_text(start);
}

// ... and has saved something since. Else it has nothing of its own to go on from.
bool has_come_further(const RunStart& start, RunDirectory& directory) {
  if (!is_begun(start, directory)) return false;
  directory.set_run_id(read_run_record(directory.path()).run_id);
  return directory.newest_step() > start.state->step;
}

// The named state is the beginning of a run of its own, or the newest of the run in the folder.
RunStart started_from(RunStart start, const TrainRequest& request, RunDirectory& directory, RunLog& log,
                      int ranks) {
  const auto origin_id = start.record.run_id;
  const auto changed = differences(request, start.record, ranks);
  for (const auto& [option, before, now] : changed)
    if (kShape.count(option) != 0)
      fail(ExitCode::kUsage, fmt::format("{}: {} there, {} now", option, before, now),
           start.state_folder.string(), "give the same value, or --new_run without --resume");
  start.record.resumed_from = resumed_from_text(start);
  start.may_change = true;
  if (is_begun(start, directory)) {
    start.record.run_id = read_run_record(directory.path()).run_id;
    directory.set_run_id(start.record.run_id);
    start.continues = true;
  } else if (directory.has_run()) {
    directory.set_run_id(origin_id);
    const bool is_other = read_run_record(directory.path()).run_id != origin_id;
    if (is_other || directory.newest_step() > start.state->step)
      fail(ExitCode::kUsage, is_other ? "another run lies there" : "the run there has come further",
           directory.path().string(), "give --new_run too: the run goes on in a folder beside it");
    start.continues = true;
  } else {
    start.record.run_id = random_id();
    directory.set_run_id(start.record.run_id);
  }
  directory.tidy();
  if (!changed.empty()) log.say("changed: " + text_of(changed));
  return start;
}

RunStart chosen_start(const TrainRequest& request, RunDirectory& directory, const std::string& launch_id,
                      RunLog& log, int ranks) {
  const auto base = identify_base_model(request.model.folder());
  const auto& resume = request.run.resume;
  const bool is_restart = is_of_launch(directory.path(), launch_id);
  // What the attempt before has saved may have taken the place of the state that it began with.
  const bool is_replaced = is_restart && !holds_run_state(resume);
  if (resume != "auto" && resume != "none" && !is_replaced) {
    auto start = named_state(request, base);
    // The same command again, after the run that it has begun was stopped: that run goes on.
    return has_come_further(start, directory)
               ? continued(request, directory, base, log, ranks)
               : started_from(std::move(start), request, directory, log, ranks);
  }
  if (directory.has_run()) {
    if (resume == "none" && !is_restart)
      fail(ExitCode::kUsage, "a run lies there already", directory.path().string(),
           "leave out --resume none to go on with it, or give --new_run for a folder beside it");
    return continued(request, directory, base, log, ranks);
  }
  RunStart start;
  start.record.run_id = random_id();
  start.record.base = base;
  directory.set_run_id(start.record.run_id);
  directory.tidy();
  return start;
}

}  // namespace

RunStart start_run(const TrainRequest& request, RunDirectory& directory, const std::string& launch_id,
                   RunLog& log, ProcessGroup& group) {
  RunStart start;
  group.on_root([&] {
    start = chosen_start(request, directory, launch_id, log, group.size());
    start.record.launch_id = launch_id;
  });
  if (group.size() == 1) return start;
  const Json said = Json::parse(group.broadcast_text(Json({{"record", run_record_text(start.record)},
                                                           {"continues", start.continues},
                                                           {"may_change", start.may_change},
                                                           {"has_state", start.state.has_value()},
                                                           {"state_folder", start.state_folder.string()},
                                                           {"state_data_sha256", start.state_data_sha256}})
                                                         .dump()));
  group.on_all([&] {
    if (group.is_root()) return;
    start.record = parse_run_record(said["record"], directory.path().string());
    start.continues = said["continues"];
    start.may_change = said["may_change"];
    start.state_folder = said["state_folder"].get<std::string>();
    start.state_data_sha256 = said["state_data_sha256"];
    if (said["has_state"]) start.state = read_run_state(start.state_folder);
    directory.set_run_id(start.record.run_id);
  });
  return start;
}

bool require_same_data(const RunStart& start, const std::string& data_sha256, const RunDirectory& directory,
                       RunLog& log) {
  if (start.continues && !start.may_change && start.record.data_sha256 != data_sha256)
    fail(ExitCode::kUsage, "the run there trains on other data: those of " + start.record.data_folder,
         directory.path().string(), remedy(start.state ? start.state_folder.string() : ""));
  const bool is_same = !start.state || start.state_data_sha256 == data_sha256;
  if (!is_same)
    log.say("changed: the data are others than the state's; samples are taken from the beginning");
  return is_same;
}

}  // namespace anneal
