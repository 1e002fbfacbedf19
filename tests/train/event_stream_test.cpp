// Oracle: the lines by hand.
#include "train/event_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace anneal {
namespace {

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_), 0); }
  ~Pipe() { close_reader(); }
  int writer() const { return ends_[1]; }
  void close_reader() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }
  std::string read_all() {  // after the writer was closed
    std::string text;
    char buffer[512];
    for (ssize_t got; (got = ::read(ends_[0], buffer, sizeof buffer)) > 0;) text.append(buffer, got);
    return text;
  }

 private:
  int ends_[2] = {-1, -1};
};

TEST(EventStream, LinesByHand) {
  Pipe pipe;
  {
    EventStream stream(pipe.writer());
    EXPECT_TRUE(stream.report({{"step", 1}, {"loss", 2.5}, {"wall_time", 7.0}}));
    EXPECT_TRUE(stream.report({{"step", 2}, {"eval_loss", nullptr}}));
    EXPECT_TRUE(stream.report({{"step", 2}, {"loss", 1.5}}));
    EXPECT_TRUE(stream.report_saved(2, "/run/x/../resume/step-2"));
  }
  EXPECT_EQ(
      pipe.read_all(),
      R"({"checkpoint":null,"metrics":{"loss":2.5},"seq":0,"step":1,"type":"report"})"
      "\n"
      R"({"checkpoint":null,"metrics":{"eval_loss":null},"seq":1,"step":2,"type":"report"})"
      "\n"
      R"({"checkpoint":null,"metrics":{"loss":1.5},"seq":2,"step":2,"type":"report"})"
      "\n"
      R"({"checkpoint":"/run/resume/step-2","metrics":{"eval_loss":null,"loss":1.5},"seq":3,"step":2,"type":"report"})"
      "\n");
}

TEST(EventStream, AReaderThatGoesAwayEndsNothing) {
  Pipe pipe;
  EventStream stream(pipe.writer());
  pipe.close_reader();
  EXPECT_FALSE(stream.report({{"step", 1}, {"loss", 2.5}}));
  EXPECT_FALSE(stream.report_saved(1, "/run/checkpoint-1"));
}

// A child that outlives the run would otherwise keep the stream open.
TEST(EventStream, ChildrenDoNotInheritIt) {
  Pipe pipe;
  const EventStream stream(pipe.writer());
  EXPECT_EQ(::fcntl(pipe.writer(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

}  // namespace
}  // namespace anneal
