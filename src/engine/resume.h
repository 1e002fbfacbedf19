// How a run begins: afresh, or from a saved state.
#pragma once
#include <optional>
#include <set>

#include "checkpoint/run_directory.h"
#include "checkpoint/run_record.h"
#include "checkpoint/run_state.h"
#include "engine/train_request.h"
#include "train/run_log.h"

namespace anneal {

struct RunStart {
  RunRecord record;               // the run's own; of a fresh one, without data and plan
  bool continues = false;         // a run lies in the folder already
  bool may_change = false;        // --resume PATH: another recipe is said and allowed
  std::optional<RunState> state;  // to go on from; without tensors
  std::filesystem::path state_folder;
  std::string state_data_sha256;  // of the data that the state was trained on
};

// Decides by what lies in the folder and --resume; the root decides for all ranks. The newest state that
// holds is taken; damaged ones and those of other runs are passed over with a line. A run that an earlier
// attempt of this launch has begun is gone on with, whatever --resume says. Throws UserError: kUsage for
// another model or recipe than the run's, kModel where a state that was named, or every state, is damaged.
RunStart start_run(const TrainRequest& request, RunDirectory& directory, const std::string& launch_id,
                   RunLog& log, ProcessGroup& group);

// To be called when the data are known: they are part of the recipe too. Whether they are those of the state.
bool require_same_data(const RunStart& start, const std::string& data_sha256, const RunDirectory& directory,
                       RunLog& log);

}  // namespace anneal
