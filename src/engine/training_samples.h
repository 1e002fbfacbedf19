// The data of a run, and the samples that are made of it.
#pragma once
#include <filesystem>

#include "data/example_set.h"
#include "data/prepare.h"
#include "dist/process_group.h"
#include "engine/train_request.h"
#include "tokenizer/tokenizer.h"
#include "train/run_log.h"

namespace anneal {

// The root builds what is missing; the others take what it has built.
PreparedData prepared_data(const TrainRequest& request, ProcessGroup& group, RunLog& log);

struct TrainingSamples {
  ExampleSet training, validation;
  std::int64_t longest() const { return std::max(training.counts().longest, validation.counts().longest); }
};

// Throws UserError(kData) for samples that would waste the run, unless --force is given.
TrainingSamples load_samples(const TrainRequest& request, const PreparedData& data,
                             const Tokenizer& tokenizer, RunLog& log);

// For `anneal report`, into the run's folder.
void write_sample_statistics(const TrainingSamples& samples, const std::filesystem::path& run);

}  // namespace anneal
