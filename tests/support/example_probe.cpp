// The examples of a data file, one JSON object a line, for tests in Python:
// example_probe MODEL_FOLDER DATA_FILE [MAX_SEQ_LENGTH [BAD_ROWS]]
#include <fmt/format.h>

#include <cstdlib>

#include "base/json.h"
#include "data/load_examples.h"
#include "data/tokenizer_encoder.h"

int main(int count, char** arguments) {
  using namespace anneal;
  try {
    const auto tokenizer = Tokenizer::load(arguments[1]);
    ExampleOptions options;
    if (count > 3) options.max_seq_length = std::atoll(arguments[3]);
    const TokenizerEncoder encoder(tokenizer, options);
    ChatRenderer chats(arguments[1], tokenizer.added_tokens());
    const auto examples = load_examples(
        arguments[2], encoder, options,
        {.threads = 2, .skip_bad_rows = count > 4 ? std::atoll(arguments[4]) : 0, .chats = &chats});
    for (std::int64_t index = 0; index < examples.size(); ++index) {
      const auto example = examples[index];
      std::vector<int> trained(example.ids.size(), 0);
      for (std::size_t at = example.prompt_length; at < trained.size(); ++at) trained[at] = 1;
      for (std::size_t at = 0; at < example.untrained.size(); at += 2)
        for (auto token = example.untrained[at]; token < example.untrained[at + 1]; ++token)
          trained[token] = 0;
      const Json line = {{"row", example.row},
                         {"ids", std::vector(example.ids.begin(), example.ids.end())},
                         {"trained", trained},
                         {"count", example.trained_tokens()}};
      fmt::print("{}\n", line.dump());
    }
    const auto& counts = examples.counts();
    fmt::print("{}\n", Json({{"ended", counts.ended},
                             {"dropped", counts.dropped},
                             {"truncated", counts.truncated},
                             {"skipped", counts.skipped}})
                           .dump());
    return 0;
  } catch (const UserError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
