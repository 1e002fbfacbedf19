#include "engine/test_data.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/chat_renderer.h"
#include "data/manifest.h"
#include "data/template.h"
#include "formats/jsonl.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunConfig = "run_config.json";
constexpr int kRunLevels = 4;  // Ray puts TorchTrainer_*/checkpoint_*/checkpoint below the run

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

fs::path newest_test_file() {
  fs::path newest;
  fs::file_time_type newest_time;
  std::error_code error;
  constexpr auto kOptions = fs::directory_options::skip_permission_denied;
  for (auto entry = fs::recursive_directory_iterator("datasets", kOptions, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->path().filename() != kTestFile || !is_file(entry->path())) continue;
    const auto time = fs::last_write_time(entry->path(), error);
    // Of files of one time, the last by name: the order of a folder's entries is not defined.
    if (!newest.empty() && std::tie(time, entry->path()) < std::tie(newest_time, newest)) continue;
    newest = entry->path();
    newest_time = time;
  }
  return newest;
}

std::string list_of_differences(const Json& test, const Json& trained) {
  std::string text;
  for (const auto& [key, value] : trained.items())
    if (const auto other = test.value(key, Json()); other != value)
      text += fmt::format("{}{} {} instead of {}", text.empty() ? "" : "; ", key, other.dump(), value.dump());
  return text;
}

void warn_of_other_data(const fs::path& file, const TrainedRun& run, const Say& say) {
  const auto trained_on = run.data_folder();
  if (!trained_on) return;
  std::error_code error;
  const auto folder = fs::absolute(file).parent_path();
  const auto test = read_manifest(folder);
  if (fs::equivalent(folder, *trained_on, error)) {
    const auto trained_sha256 = run.config["data"].value("sha256", "");
    if (test && !trained_sha256.empty() && test->data_sha256() != trained_sha256)
      say("warning: the data in " + folder.string() + " is not what the run was trained on any more");
    return;
  }
  const auto trained = read_manifest(*trained_on);
  if (!test || !trained) {
    say("notice: the test file is not of the run's data, " + trained_on->string());
    return;
  }
  if (const auto list = list_of_differences(test->recipe, trained->recipe); !list.empty())
    say("warning: the test file was made differently from the run's data: " + list);
}

std::string end_of_common_lines(const std::vector<TestRow>& rows) {
  if (rows.size() < 2) return "";
  std::string_view common = rows.front().label;
  for (const auto& row : rows) {
    const auto [end, ignored] =
        std::mismatch(common.begin(), common.end(), row.label.begin(), row.label.end());
    common = common.substr(0, end - common.begin());
  }
  return std::string(common.substr(0, common.rfind('\n') + 1));
}

}  // namespace

std::optional<fs::path> TrainedRun::data_folder() const {
  const auto data = config.find("data");
  if (data == config.end()) return std::nullopt;
  return required<std::string>(*data, "folder", (folder / kRunConfig).string(), ExitCode::kModel);
}

TrainedRun find_run(const fs::path& checkpoint, const CheckpointOptions& options) {
  const auto absolute = fs::absolute(checkpoint).lexically_normal();
  auto folder = absolute.parent_path();
  for (int level = 0; level < kRunLevels && !is_file(folder / kRunConfig); ++level)
    folder = folder.parent_path();
  TrainedRun run;
  if (is_file(folder / kRunConfig)) {
    run.folder = folder;
    run.config = read_json_file(folder / kRunConfig, ExitCode::kModel);
  } else if (options.checkpoints_dir && !options.checkpoint) {
    run.folder = fs::absolute(*options.checkpoints_dir).lexically_normal();
  } else {
    run.folder = absolute.parent_path();
  }
  run.checkpoint_name = absolute.lexically_relative(run.folder).string();
  std::replace(run.checkpoint_name.begin(), run.checkpoint_name.end(), '/', '-');
  return run;
}

fs::path find_test_file(const std::optional<std::string>& test_path, const TrainedRun& run, const Say& say) {
  fs::path file;
  if (test_path) {
    file = fs::is_directory(*test_path) ? fs::path(*test_path) / kTestFile : fs::path(*test_path);
    if (!is_file(file))
      fail(ExitCode::kData, "there is no such file", file.string(), "name a JSONL file with --test_path");
  } else if (const auto folder = run.data_folder()) {
    file = *folder / kTestFile;
    if (!is_file(file))
      fail(ExitCode::kData, "the data of the run has no test file", file.string(),
           "name a JSONL file with --test_path");
  } else if (file = newest_test_file(); file.empty()) {
    fail(ExitCode::kData, "there is no test.jsonl in the run's data or below datasets", run.folder.string(),
         "name a JSONL file with --test_path");
  } else {
    say("warning: the run does not say what it was trained on; taking the newest test.jsonl below "
        "datasets: " +
        file.string());
  }
  say("test file: " + file.string());
  warn_of_other_data(file, run, say);
  return file;
}

std::vector<TestRow> read_test_rows(const fs::path& file, std::int64_t count) {
  DataRowReader reader(file);
  std::vector<TestRow> rows;
  for (DataRow row; static_cast<std::int64_t>(rows.size()) < count && reader.next(row);)
    rows.push_back({std::string(row.input), std::string(row.output), std::string(row.chat)});
  if (rows.empty())
    fail(ExitCode::kData, "no samples: the file is empty", file.string(),
         "name another file with --test_path");
  return rows;
}

std::set<std::int32_t> render_chats(std::vector<TestRow>& rows, const fs::path& file,
                                    const fs::path& model_folder, const Tokenizer& tokenizer) {
  std::vector<std::size_t> places;
  std::vector<std::string_view> chats;
  for (std::size_t place = 0; place < rows.size(); ++place) {
    if (rows[place].chat.empty()) continue;
    places.push_back(place);
    chats.push_back(rows[place].chat);
  }
  ChatRenderer renderer(model_folder, tokenizer.added_tokens());
  auto prompts = renderer.prompts(chats);
  std::set<std::int32_t> ends;
  for (std::size_t index = 0; index < prompts.size(); ++index) {
    auto& prompt = prompts[index];
    if (!prompt.refusal.empty())
      fail(ExitCode::kData, "the chat cannot be rendered: " + prompt.refusal,
           fmt::format("{}:{}", file.string(), places[index] + 1), "correct the row, or leave it out");
    if (const auto id = tokenizer.token_to_id(prompt.closing)) ends.insert(*id);
    rows[places[index]].input = std::move(prompt.prompt);
    rows[places[index]].label = std::move(prompt.label);
  }
  return ends;
}

std::string constant_header(const fs::path& file, const std::vector<TestRow>& rows) {
  const auto manifest = read_manifest(fs::absolute(file).parent_path());
  if (!manifest) return end_of_common_lines(rows);
  const std::string where = (fs::absolute(file).parent_path() / kManifestName).string();
  const auto text = required<std::string>(manifest->recipe, "output_template", where, ExitCode::kData);
  const auto escapes = required<std::string>(manifest->recipe, "template_escapes", where, ExitCode::kData);
  std::vector<Problem> problems;
  const auto leading =
      Template::parse(text, template_escapes_of(escapes), "output_template", problems).leading_text();
  const bool begins_all = std::all_of(rows.begin(), rows.end(),
                                      [&](const TestRow& row) { return row.label.starts_with(leading); });
  return problems.empty() && begins_all ? leading : "";
}

}  // namespace anneal
