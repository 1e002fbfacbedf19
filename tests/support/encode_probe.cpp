// How long the examples of a data file take, as training encodes them, for benchmarks/bench_data.py:
// encode_probe MODEL_FOLDER DATA_FILE THREADS. Reading the file counts, loading the tokenizer does not.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/json.h"
#include "data/load_examples.h"
#include "data/tokenizer_encoder.h"
#include "tokenizer/word_cache.h"

int main(int, char** arguments) {
  using namespace anneal;
  const auto tokenizer = Tokenizer::load(arguments[1]);
  ExampleOptions options;
  options.add_eos = false;
  options.max_seq_length = 1 << 20;
  const TokenizerEncoder encoder(tokenizer, options);
  ExampleSet examples;
  const auto started = std::chrono::steady_clock::now();
  // A thread of its own, as what a cache was used for is counted when its thread ends.
  std::thread([&] {
    examples = load_examples(arguments[2], encoder, options, {.threads = std::atoll(arguments[3])});
  }).join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  fmt::print("{}\n", Json({{"seconds", seconds.count()},
                           {"tokens", examples.tokens()},
                           {"words", WordCache::words_of_all.load()},
                           {"hits", WordCache::hits_of_all.load()}})
                         .dump());
}
