#include "data/spool.h"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "data/split.h"

namespace anneal {
namespace {

constexpr std::size_t kRunBytes = 4 << 20;
constexpr std::size_t kPiecesBytes = 8 << 20;  // what is read of all runs together
constexpr std::size_t kSmallestPiece = 1 << 12;
constexpr std::size_t kLargestPiece = 1 << 16;

}  // namespace

void Spool::append(std::string_view line) {
  batch_.starts.push_back(batch_.text.size());
  batch_.text += line;
  ++count_;
  if (batch_.text.size() >= kRunBytes) hand_over_batch();
}

void Spool::hand_over_batch() {
  writer_.run([this, batch = std::make_shared<const Batch>(std::move(batch_))] { write(*batch); });
  batch_ = {};
  batch_.text.reserve(kRunBytes + kRunBytes / 8);
}

void Spool::write(const Batch& batch) {
  std::vector<std::tuple<std::uint64_t, std::int64_t, std::string_view>> lines;
  lines.reserve(batch.starts.size());
  auto index = static_cast<std::int64_t>(places_.size());
  for (std::size_t at = 0; at < batch.starts.size(); ++at, ++index) {
    const auto end = at + 1 < batch.starts.size() ? batch.starts[at + 1] : batch.text.size();
    const auto line = std::string_view(batch.text).substr(batch.starts[at], end - batch.starts[at]);
    lines.emplace_back(order_key(index, base_), index, line);
  }
  std::sort(lines.begin(), lines.end());
  places_.resize(places_.size() + lines.size());
  runs_.push_back({file_bytes_, file_bytes_, {}});
  for (const auto& [key, place, line] : lines) {
    places_[place] = file_bytes_;
    file_.append(line);
    file_bytes_ += line.size();
  }
}

void Spool::finish() {
  hand_over_batch();
  writer_.finish();
  file_.finish();
  piece_bytes_ = std::clamp(kPiecesBytes / runs_.size(), kSmallestPiece, kLargestPiece);
}

Spool::Run& Spool::run_at(std::uint64_t place) {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), place,
                                      [](std::uint64_t at, const Run& run) { return at < run.begin; });
  return *std::prev(after);
}

// What follows on what was read last is read in a long piece, anything else in a short one, until a line end.
void Spool::read_on(Run& run, std::uint64_t place) {
  const bool follows = place >= run.read && place <= run.read + run.bytes.size();
  auto bytes = follows ? piece_bytes_ : kSmallestPiece;
  run.read = place;
  run.bytes.clear();
  while (run.bytes.find('\n') == std::string::npos) {
    const auto before = run.bytes.size();
    run.bytes.resize(std::min<std::uint64_t>(before + bytes, file_bytes_ - place));
    file_.read(place + before, run.bytes.size() - before, run.bytes.data() + before);
    bytes = run.bytes.size();
  }
}

void Spool::append_line_to(std::string& text, std::int64_t index) {
  const auto place = places_[index];
  auto& run = run_at(place);
  const bool is_here = place >= run.read && place < run.read + run.bytes.size();
  auto end = is_here ? run.bytes.find('\n', place - run.read) : std::string::npos;
  if (end == std::string::npos) {
    read_on(run, place);
    end = run.bytes.find('\n');
  }
  const auto start = place - run.read;
  text.append(run.bytes, start, end + 1 - start);
}

}  // namespace anneal
