#include "checkpoint/saver.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <future>
#include <new>
#include <system_error>

#include "base/byte_size.h"
#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/staged_folder.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr int kFailuresInARow = 3;
constexpr double kSpare = 1.2;  // of the bytes of tensors: tokenizer, JSON, the file system's own

}  // namespace

Saver::Saver(RunDirectory& directory, SaveFormats formats, std::int64_t save_total_limit, ProcessGroup& group)
    : directory_(directory), formats_(std::move(formats)), limit_(save_total_limit), group_(group) {}

Saver::~Saver() {
  if (in_flight_.valid()) in_flight_.wait();
}

void Saver::start(SaveRequest request) {
  settle();
  // A newer state replaces one that could not be written; a checkpoint, only a newer checkpoint.
  std::erase_if(unsaved_, [&](SaveRequest& old) {
    old.as_state = false;
    return request.as_checkpoint || !old.as_checkpoint;
  });
  auto requests = std::move(unsaved_);
  requests.push_back(std::move(request));
  launch(std::move(requests));
}

void Saver::launch(std::vector<SaveRequest> requests) {
  unsaved_.clear();
  try {
    in_flight_ = std::async(std::launch::async, [this, requests] {
      at::set_num_threads(1);  // of this thread: the others are the loop's
      return write_all(requests);
    });
  } catch (const std::system_error&) {  // no memory for a thread: training waits
    std::promise<Outcome> done;
    done.set_value(write_all(requests));
    in_flight_ = done.get_future();
  }
}

void Saver::settle() {
  if (!in_flight_.valid()) return;
  auto outcome = in_flight_.get();
  lines_.insert(lines_.end(), outcome.lines.begin(), outcome.lines.end());
  saved_.insert(saved_.end(), outcome.saved.begin(), outcome.saved.end());
  unsaved_ = std::move(outcome.unsaved);
  if (!outcome.failure) {
    failures_in_a_row_ = 0;
    return;
  }
  const auto& problem = outcome.failure->problems().front();
  const auto code = outcome.failure->code();
  if (code == ExitCode::kNumerical || code == ExitCode::kDistributed)  // another try would end so again
    fatal_ = outcome.failure;
  else if (++failures_in_a_row_ >= kFailuresInARow)
    fatal_ = UserError(
        ExitCode::kResources,
        {fmt::format("saving failed {} times in a row: {}", kFailuresInARow, problem.problem), problem.where,
         "free disk space or memory, or mend the disk, and run the same command again: it goes on "
         "from the newest state"});
  else
    lines_.push_back(fmt::format("warning: step {} could not be saved and is tried again: {}: {}",
                                 unsaved_.back().state->step, problem.where, problem.problem));
}

void Saver::finish() {
  for (settle(); !unsaved_.empty() && !fatal_; settle()) launch(std::move(unsaved_));
}

bool Saver::has_ended() const {
  return in_flight_.valid() && in_flight_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

std::vector<std::string> Saver::report(bool settles) {
  if (settles) settle();
  if (fatal_) throw UserError(*fatal_);
  return std::exchange(lines_, {});
}

Saver::Outcome Saver::write_all(const std::vector<SaveRequest>& requests) {
  Outcome outcome;
  for (std::size_t index = 0; index < requests.size(); ++index) {
    const auto give_up = [&](const UserError& error) {
      outcome.failure = error;
      outcome.unsaved.assign(requests.begin() + static_cast<std::ptrdiff_t>(index), requests.end());
    };
    try {
      write(requests[index], outcome);
      continue;
    } catch (const UserError& error) {
      give_up(error);
    } catch (const std::bad_alloc&) {
      give_back_freed_memory();  // for the next try
      give_up(UserError(ExitCode::kResources, {"out of memory", directory_.path().string(), "free memory"}));
    } catch (const std::exception& error) {  // fs::filesystem_error
      give_up(UserError(ExitCode::kResources, {error.what(), directory_.path().string(), "check the disk"}));
    }
    break;
  }
  return outcome;
}

// A checkpoint comes first: a state says that its run's best is saved.
void Saver::write(const SaveRequest& request, Outcome& outcome) {
  const auto start = std::chrono::steady_clock::now();
  const auto& state = *request.state;
  const auto bytes = group_.sum(static_cast<double>(state.bytes()));
  group_.on_root([&] {
    require_free_space(directory_.path(), static_cast<std::int64_t>(kSpare * bytes), "--results_dir");
  });
  std::vector<SavedFolder> saved;
  std::string names;
  fs::path checkpoint;
  if (request.as_checkpoint) {
    checkpoint = directory_.save_checkpoint(
        state.step, [&](const fs::path& folder) { formats_.write_checkpoint(state, folder); });
    names = checkpoint.filename().string();
    saved.push_back({state.step, checkpoint});
  }
  if (request.as_state) {
    const auto folder = directory_.save_state(state.step, [&](const fs::path& to) {
      if (!request.as_checkpoint || !formats_.is_shared)
        formats_.write_state(state, to);
      else if (group_.is_root())
        share_files(checkpoint, to);
    });
    names += (names.empty() ? "" : " and ") + folder.lexically_relative(directory_.path()).string();
    saved.push_back({state.step, folder});
  }
  directory_.rotate(state.step, limit_);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  outcome.lines.push_back(fmt::format("saved {} ({} of tensors, {:.2f} s beside the training)", names,
                                      byte_size_text(static_cast<std::int64_t>(bytes)), taken.count()));
  outcome.saved.insert(outcome.saved.end(), saved.begin(), saved.end());
}

// By links: the files of a saved folder never change.
void Saver::share_files(const fs::path& from, const fs::path& to) const {
  for (const auto& entry : fs::directory_iterator(from)) {
    const auto name = entry.path().filename();
    if (!formats_.is_shared(name.string())) continue;
    std::error_code error;
    fs::create_hard_link(entry.path(), to / name, error);
    if (error) write_file_atomically(to / name, read_file(entry.path(), ExitCode::kResources));
  }
}

}  // namespace anneal
