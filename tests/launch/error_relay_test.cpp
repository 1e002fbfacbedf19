// Oracle: by hand, what is passed on and what is remembered.
#include "launch/error_relay.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

using testing::ElementsAre;

class ErrorRelayTest : public testing::Test {
 protected:
  ~ErrorRelayTest() override { ::close(to_); }
  std::string passed_on() const { return folder_.read("to"); }
  ScratchFolder folder_;
  int to_ = ::open((folder_ / "to").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
};

TEST_F(ErrorRelayTest, WithoutAPrefixEveryByteAtOnce) {
  ErrorRelay relay(to_, "");
  relay.take("\na\rb");
  EXPECT_EQ(passed_on(), "\na\rb");
  relay.take("c\n\nd");
  relay.finish();
  EXPECT_EQ(passed_on(), "\na\rbc\n\nd");
  EXPECT_THAT(relay.last_lines(), ElementsAre("a\rbc", "d"));
}

TEST_F(ErrorRelayTest, WithAPrefixWholeLines) {
  ErrorRelay relay(to_, "> ");
  relay.take("one\n\ntw");
  EXPECT_EQ(passed_on(), "> one\n");
  relay.take("o\nthree");
  relay.finish();
  EXPECT_EQ(passed_on(), "> one\n> two\n> three\n");
}

TEST_F(ErrorRelayTest, RemembersTheEndAndCutsLongLines) {
  ErrorRelay relay(to_, "> ");
  for (int line = 0; line < 30; ++line) relay.take(std::to_string(line) + "\n");
  ASSERT_EQ(relay.last_lines().size(), 20U);
  EXPECT_EQ(relay.last_lines().front(), "10");
  relay.take(std::string(10000, 'x'));
  EXPECT_EQ(relay.last_lines().back(), std::string(4096, 'x'));
  relay.finish();
  EXPECT_EQ(relay.last_lines().back(), std::string(10000 - 2 * 4096, 'x'));
}

}  // namespace
}  // namespace anneal
