#include "data/library_rows.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/piped_process.h"
#include "base/program_folder.h"
#include "base/python_programs.h"
#include "data/arrow_rows.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

// What the process complains about: in memory, so that it never waits for a reader.
class Complaints {
 public:
  Complaints() : descriptor_(::memfd_create("complaints", MFD_CLOEXEC)) {
    if (descriptor_ < 0)
      fail(ExitCode::kResources, std::string("cannot open a file in memory: ") + std::strerror(errno),
           "the `datasets` library", "allow this process more open files");
  }
  ~Complaints() { ::close(descriptor_); }
  Complaints(const Complaints&) = delete;
  Complaints& operator=(const Complaints&) = delete;

  int descriptor() const { return descriptor_; }

  // A traceback ends in what went wrong.
  std::string last_line() const {
    std::string text(static_cast<std::size_t>(::lseek(descriptor_, 0, SEEK_END)), '\0');
    text.resize(
        static_cast<std::size_t>(std::max<ssize_t>(::pread(descriptor_, text.data(), text.size(), 0), 0)));
    text.erase(text.find_last_not_of(" \r\n") + 1);
    return text.substr(text.rfind('\n') + 1);
  }

 private:
  int descriptor_;
};

std::vector<std::string> command_of(const LibraryLoad& load) {
  const auto python = find_python();
  if (!python)
    fail(ExitCode::kUsage, "there is no Python for the `datasets` library", load.folder.string(),
         "name one that has the library in ANNEAL_PYTHON, or convert the data to .jsonl");
  const auto script = program_folder() / "stream_dataset.py";
  return {python->string(), script.string(), "--folder", load.folder.string(),
          "--config",       load.config,     "--split",  load.split};
}

class LibraryRows : public RowSource {
 public:
  LibraryRows(const LibraryLoad& load, ColumnPicker& columns)
      : name_(load.folder.string()),
        process_(command_of(load), {"HF_HUB_OFFLINE=1", "HF_DATASETS_OFFLINE=1"}, complaints_.descriptor()) {
    run([&] { rows_ = open_arrow_stream(process_.take_output(), name_, columns); });
  }

  bool next(std::vector<Cell>& cells) override {
    bool has_row = false;
    run([&] { has_row = rows_->next(cells); });
    if (!has_row && process_.wait() != 0) fail_library();
    return has_row;
  }

 private:
  // A stream that breaks off is the process's fault, whose own words say more; unless it is we who left.
  template <class Action>
  void run(const Action& action) {
    try {
      action();
    } catch (const BadRow&) {
      throw;
    } catch (const UserError&) {
      rows_.reset();
      if (process_.wait() != 0 && complaints_.last_line().find("Broken pipe") == std::string::npos)
        fail_library();
      throw;
    }
  }

  [[noreturn]] void fail_library() const {
    const auto line = complaints_.last_line();
    const bool is_missing = line.find("No module named") != line.npos;
    fail(is_missing ? ExitCode::kUsage : ExitCode::kData,
         "the `datasets` library cannot read the folder: " + line, name_,
         is_missing ? "pip install datasets, or name a Python that has it in ANNEAL_PYTHON"
                    : "convert the data to .jsonl, .csv or .parquet");
  }

  std::string name_;
  Complaints complaints_;
  PipedProcess process_;
  std::unique_ptr<RowSource> rows_;
};

}  // namespace

std::unique_ptr<RowSource> open_library_rows(const LibraryLoad& load, ColumnPicker& columns) {
  return std::make_unique<LibraryRows>(load, columns);
}

}  // namespace anneal
