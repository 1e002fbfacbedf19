#include "base/progress.h"

#include <utility>

#include "base/duration.h"

namespace anneal {
namespace {

// On a terminal, and for lines that stay.
constexpr std::chrono::milliseconds kCalm{100}, kLineInterval{10000};

}  // namespace

std::string progress_text(const std::string& work, std::int64_t done, std::int64_t total,
                          const std::string& unit, const std::string& note, double seconds) {
  auto text = work + ": " + std::to_string(done) + "/" + std::to_string(total) + " " + unit;
  if (!note.empty()) text += ", " + note;
  if (done > 0 && done < total)
    text += ", " + duration_text(seconds / static_cast<double>(done) * static_cast<double>(total - done)) +
            " left";
  return text;
}

Progress::Progress(Console& console, std::string work, std::string unit)
    : console_(console),
      work_(std::move(work)),
      unit_(std::move(unit)),
      next_(start_ + (console.shows_progress() ? kCalm : kLineInterval)) {}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Progress::at(std::int64_t done, std::int64_t total, const std::string& note) {
  const std::scoped_lock lock(mutex_);
  const auto now = Clock::now();
  if (now < next_) return;
  const auto line = progress_text(work_, done, total, unit_, note, seconds());
  if (console_.shows_progress()) {
    console_.progress(line);
    next_ = now + kCalm;
  } else {
    console_.say(line);
    next_ = now + kLineInterval;
  }
}

}  // namespace anneal
