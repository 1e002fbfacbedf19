// The run that a checkpoint is of, and the rows that it is tested on.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint_options.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

using Say = std::function<void(const std::string&)>;

struct TrainedRun {
  std::filesystem::path folder;  // where evaluations go; of a checkpoint without a run, the folder it lies in
  Json config = Json::object();  // run_config.json; empty where there is none
  std::string checkpoint_name;   // of the checkpoint within the run, as one path component

  // An option that the run was trained with, or `fallback`.
  template <class T>
  T option(const char* name, T fallback) const {
    const auto options = config.find("options");
    if (options == config.end()) return fallback;
    return optional<T>(*options, name, std::move(fallback), (folder / "run_config.json").string(),
                       ExitCode::kModel);
  }
  std::optional<std::filesystem::path> data_folder() const;
};

TrainedRun find_run(const std::filesystem::path& checkpoint, const CheckpointOptions& options);

// --test_path, else the test file of the run's data, else the newest below ./datasets. Says which, and warns
// where it is not of the data that the run was trained on. Throws UserError(kData) where there is none.
std::filesystem::path find_test_file(const std::optional<std::string>& test_path, const TrainedRun& run,
                                     const Say& say);

struct TestRow {
  std::string input, label;
  std::string chat = {};  // the row itself, where it is a chat: render_chats() fills the other two
};

// The first `count` rows. Throws UserError(kData) for a line that cannot be read, and where there is no row.
std::vector<TestRow> read_test_rows(const std::filesystem::path& file, std::int64_t count);

// Fills what chats leave open: what stands before the assistant's last turn with the generation prompt, and
// that turn. Returns the tokens that end such turns. Throws UserError(kData) for a chat that the template
// refuses.
std::set<std::int32_t> render_chats(std::vector<TestRow>& rows, const std::filesystem::path& file,
                                    const std::filesystem::path& model_folder, const Tokenizer& tokenizer);

// The text that begins every label because the output template does: that of the data that the file belongs
// to; without its template, what two or more labels have in common up to the end of a line.
std::string constant_header(const std::filesystem::path& file, const std::vector<TestRow>& rows);

}  // namespace anneal
