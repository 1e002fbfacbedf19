// TensorBoard's view of a run: the events of log.jsonl as scalars, under the tags of transformers' trainer.
#pragma once
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/json.h"

namespace anneal {

class TensorBoardLog {
 public:
  // Begins a new file in `folder`. A run that goes on has a history: the events that hold. Readers forget
  // what earlier files say of later steps, which the run comes to again.
  TensorBoardLog(const std::filesystem::path& folder, const std::optional<Json>& history);

  void add_text(const std::string& tag, std::string_view text);
  bool add(const Json& event);  // whether the file has taken everything so far
  const AppendFile& file() const { return file_; }

 private:
  AppendFile file_;
};

}  // namespace anneal
