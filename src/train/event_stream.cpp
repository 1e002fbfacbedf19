#include "train/event_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace anneal {

EventStream::EventStream(int descriptor) : descriptor_(descriptor) {
  ::fcntl(descriptor_, F_SETFD, FD_CLOEXEC);  // its end is ours to say, not that of a child that outlives us
  ::signal(SIGPIPE, SIG_IGN);                 // a reader that goes away is no reason to stop training
}

EventStream::~EventStream() { ::close(descriptor_); }

bool EventStream::report(const Json& event) {
  Json metrics = event;
  for (const char* key : {"step", "wall_time"}) metrics.erase(key);
  latest_.update(metrics);
  return write(event.at("step").get<std::int64_t>(), metrics, nullptr);
}

bool EventStream::report_saved(std::int64_t step, const std::filesystem::path& folder) {
  return write(step, latest_, std::filesystem::absolute(folder).lexically_normal().string());
}

bool EventStream::write(std::int64_t step, const Json& metrics, const Json& checkpoint) {
  const Json object = {
      {"type", "report"}, {"seq", seq_++}, {"step", step}, {"metrics", metrics}, {"checkpoint", checkpoint}};
  const auto line = object.dump() + "\n";
  for (std::size_t at = 0; has_reader_ && at < line.size();) {
    const auto written = ::write(descriptor_, line.data() + at, line.size() - at);
    if (written >= 0)
      at += static_cast<std::size_t>(written);
    else if (errno != EINTR)
      has_reader_ = false;
  }
  return has_reader_;
}

}  // namespace anneal
