// fuzz_<target> FILE...                                     runs the target once on each file
// fuzz_<target> --corpus FOLDER [--seed N] [--count N | --seconds N] [--work FOLDER]
//
// Mutates the inputs of the corpus, and those found on the way that took a branch as often as none before.
// Before each call the input is written to the work folder, so that it is still there when a sanitizer, an
// exception, ten seconds without an end, or a GB of memory end the process. Seconds are the process's own: it
// may be stopped meanwhile, or have to share its processor.
#include "tests/fuzz/driver.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "base/file.h"
#include "tests/fuzz/mutation.h"

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBranches = 1 << 16;
std::array<std::uint8_t, kBranches> taken;  // how often, in this call
std::uintptr_t branch_before = 0;

}  // namespace

// Every branch of the code under test calls this.
extern "C" void __sanitizer_cov_trace_pc() {
  const auto branch = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  auto& count = taken[(branch ^ (branch_before << 1)) % kBranches];
  if (count < 255) ++count;
  branch_before = branch;
}

extern "C" const char* __asan_default_options() {
  return "hard_rss_limit_mb=1024:max_allocation_size_mb=1024:quarantine_size_mb=16:detect_stack_use_after_"
         "return=0";
}

extern "C" const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }

namespace anneal {
namespace {

constexpr int kSecondsForAnInput = 10;

// SIGPROF comes after so many seconds of the processor; with 0 none does.
void set_alarm(int seconds) {
  const itimerval timer{.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_usec = 0}};
  ::setitimer(ITIMER_PROF, &timer, nullptr);
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Settings {
  fs::path corpus, work = fs::temp_directory_path() / "anneal-fuzz";
  std::uint64_t seed = 1;
  std::int64_t count = 10'000, seconds = 0;
  std::vector<fs::path> files;
};

Settings read_settings(int count, char** arguments) {
  Settings settings;
  for (int at = 1; at < count; ++at) {
    const std::string name = arguments[at];
    if (!name.starts_with("--")) {
      settings.files.emplace_back(name);
      continue;
    }
    const std::string value = ++at < count ? arguments[at] : "";
    if (name == "--corpus")
      settings.corpus = value;
    else if (name == "--work")
      settings.work = value;
    else if (name == "--seed")
      settings.seed = std::stoull(value);
    else if (name == "--count")
      settings.count = std::stoll(value);
    else if (name == "--seconds")
      settings.seconds = std::stoll(value);
    else
      fail(ExitCode::kUsage, "unknown flag", name, "see tests/fuzz/driver.cpp");
  }
  return settings;
}

void on_alarm(int) {
  static constexpr char kText[] = "fuzz: no end after ten seconds\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  std::abort();
}

class Fuzzer {
 public:
  explicit Fuzzer(const Settings& settings)
      : settings_(settings),
        mutator_(settings.seed, kFuzzTarget.words, kFuzzTarget.is_json),
        file_(settings.work / kFuzzTarget.file_name) {
    fs::create_directories(settings.work);
    descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0)
      fail(ExitCode::kUsage, "cannot write the file", file_.string(), "name another --work");
    std::signal(SIGPROF, on_alarm);
  }
  ~Fuzzer() { ::close(descriptor_); }
  Fuzzer(const Fuzzer&) = delete;
  Fuzzer& operator=(const Fuzzer&) = delete;

  void run_files() {
    for (const auto& file : settings_.files) run(read_file(file, ExitCode::kUsage));
    std::printf("fuzz: %zu files\n", settings_.files.size());
  }

  void run_mutations() {
    load_corpus();
    const auto start = processor_seconds();
    const auto goes_on = [&] {
      if (settings_.seconds == 0) return calls_ < settings_.count;
      return processor_seconds() - start < static_cast<double>(settings_.seconds);
    };
    const auto first = inputs_.size();
    while (goes_on()) {
      auto input = mutator_.mutated(pick(), pick());
      if (run(input)) inputs_.push_back(std::move(input));
    }
    std::printf("fuzz: %lld inputs in %.0f s, %lld of them refused, %zu new ways through the code\n",
                static_cast<long long>(calls_), processor_seconds() - start, static_cast<long long>(refused_),
                inputs_.size() - first);
  }

 private:
  void load_corpus() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(settings_.corpus)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      inputs_.push_back(read_file(file, ExitCode::kUsage));
      run(inputs_.back());
    }
    if (inputs_.empty())
      fail(ExitCode::kUsage, "the corpus is empty", settings_.corpus.string(), "name another");
  }

  // Half of the time one of the newest.
  const std::string& pick() {
    const auto newest = std::min<std::size_t>(inputs_.size(), 32);
    return inputs_[mutator_.below(2) == 0 ? mutator_.below(inputs_.size())
                                          : inputs_.size() - 1 - mutator_.below(newest)];
  }

  void keep(const std::string& input) {
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, input.data(), input.size(), 0) != static_cast<ssize_t>(input.size()))
      fail(ExitCode::kResources, "cannot write the file", file_.string(), "free disk space");
  }

  // Whether it took a branch as often as no input before.
  bool run(const std::string& input) {
    keep(input);
    taken.fill(0);
    branch_before = 0;
    set_alarm(kSecondsForAnInput);
    try {
      kFuzzTarget.run(file_, input);
    } catch (const UserError&) {
      ++refused_;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "fuzz: an exception that is no UserError: %s\n", error.what());
      std::abort();
    }
    set_alarm(0);
    ++calls_;
    bool is_new = false;
    for (std::size_t branch = 0; branch < kBranches; ++branch) {
      if (taken[branch] == 0) continue;
      const auto bit = static_cast<std::uint8_t>(1 << (std::bit_width(taken[branch]) - 1));
      is_new = is_new || (seen_[branch] & bit) == 0;
      seen_[branch] |= bit;
    }
    return is_new;
  }

  const Settings& settings_;
  Mutator mutator_;
  fs::path file_;
  int descriptor_ = -1;
  std::vector<std::string> inputs_;
  std::array<std::uint8_t, kBranches> seen_{};  // a bit for each power of two of how often
  std::int64_t calls_ = 0, refused_ = 0;
};

}  // namespace

void expect(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %s\n", property);
  std::abort();
}

}  // namespace anneal

int main(int count, char** arguments) {
  try {
    const auto settings = anneal::read_settings(count, arguments);
    anneal::Fuzzer fuzzer(settings);
    settings.files.empty() ? fuzzer.run_mutations() : fuzzer.run_files();
    return 0;
  } catch (const anneal::UserError& error) {
    std::fprintf(stderr, "fuzz: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
