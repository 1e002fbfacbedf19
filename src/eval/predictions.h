// What a model wrote for the rows of a test file, on disk: rows as they come into a partial file that a
// killed test is continued from, in the end all of them in the order of the test file.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace anneal {

struct Prediction {
  std::int64_t index = 0;  // of the row in the test file, from 0
  std::string input, label, prediction;
  std::string finish_reason;  // stop, length, prompt_too_long
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
};

OrderedJson to_json(const Prediction& prediction);

class PredictionFiles {
 public:
  // Opens <folder>/predictions.jsonl.partial. `settings`: all that the predictions depend on. With `resume`,
  // the rows of an earlier test of the same settings are kept; of others: UserError(kUsage) that lists what
  // differs. UserError(kUsage) too where another process works there.
  PredictionFiles(const std::filesystem::path& folder, const Json& settings, bool resume,
                  const std::function<void(const std::string&)>& say);
  ~PredictionFiles();
  PredictionFiles(const PredictionFiles&) = delete;
  PredictionFiles& operator=(const PredictionFiles&) = delete;

  bool has(std::int64_t index) const { return rows_.count(index) != 0; }
  void add(const Prediction& prediction);  // in the file when it returns

  // Writes predictions.jsonl and returns what is in it: the rows below `count`, in their order.
  std::vector<Prediction> write(std::int64_t count) const;
  void remove_partial();  // call last: until then a killed test can be continued

 private:
  void read_partial(const Json& settings);
  void append(const std::string& line);

  std::filesystem::path folder_, partial_;
  std::FILE* file_;
  std::map<std::int64_t, Prediction> rows_;
};

}  // namespace anneal
