// What a model wrote for the rows of a test file, on disk: rows as they come into a partial file of each rank
// that a killed test is continued from, in the end all of them in the order of the test file.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "dist/process_group.h"

namespace anneal {

struct Prediction {
  std::int64_t index = 0;  // of the row in the test file, from 0
  std::string input, label, prediction;
  std::string finish_reason;  // stop, length, prompt_too_long
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
};

OrderedJson to_json(const Prediction& prediction);

// What is done with the rows of an unfinished test.
struct Continuation {
  bool resume = false;  // go on from them
  std::string
      launch_id;  // of this test: one that an earlier attempt of the same launch began is gone on with
};

// All ranks call the same functions in the same order, but for has() and add().
class PredictionFiles {
 public:
  // Opens <folder>/predictions.jsonl.partial, or of a rank above 0 what ends on .partial-<rank>. `settings`:
  // all that the predictions depend on. Rows of an earlier test, of any number of ranks, are kept where it is
  // continued; if they are of other settings: UserError(kUsage) that lists what differs. UserError(kUsage)
  // too where another process works there.
  PredictionFiles(const std::filesystem::path& folder, const Json& settings, const Continuation& continuation,
                  ProcessGroup& group, const std::function<void(const std::string&)>& say);
  ~PredictionFiles();
  PredictionFiles(const PredictionFiles&) = delete;
  PredictionFiles& operator=(const PredictionFiles&) = delete;

  bool has(std::int64_t index) const { return rows_.count(index) != 0; }  // on any rank, at the start
  void add(const Prediction& prediction);  // in the file of this rank when it returns

  void share();  // hands the rows of every rank to all
  // Of the root, after share(): writes predictions.jsonl and returns what is in it: the rows below `count`,
  // in their order.
  std::vector<Prediction> write(std::int64_t count) const;
  // Of the root, last: until then a killed test can be continued.
  void remove_partial();

 private:
  void open();
  std::vector<std::filesystem::path> left_over() const;
  bool is_continued(const Continuation& continuation) const;
  void read_partial(const std::filesystem::path& path);
  void begin(const std::string& launch_id);
  void append(const std::string& line);

  std::filesystem::path folder_, partial_;
  const Json settings_;
  ProcessGroup& group_;
  std::FILE* file_ = nullptr;
  std::map<std::int64_t, Prediction> rows_;
};

}  // namespace anneal
