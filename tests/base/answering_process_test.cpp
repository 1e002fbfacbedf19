// Oracle: by hand, what a small shell program answers.
#include "base/answering_process.h"

#include <memory>
#include <thread>

#include "tests/support/user_error.h"

namespace anneal {
namespace {

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST(AnsweringProcess, AnswersLineByLine) {
  AnsweringProcess child(shell("while read -r line; do echo \"<$line>\"; done"));
  EXPECT_EQ(child.ask("one"), "<one>");
  EXPECT_EQ(child.ask(""), "<>");
}

// Neither a question nor an answer has to fit into what the system holds between the two.
TEST(AnsweringProcess, LinesOfMegabytes) {
  AnsweringProcess child(shell("read -r line; echo \"$line\""));
  const std::string line(1'000'000, 'x');
  EXPECT_EQ(child.ask(line), line);
}

// The system ends children of a thread with it, where it is told to.
TEST(AnsweringProcess, OutlivesTheThreadThatStartsIt) {
  std::unique_ptr<AnsweringProcess> child;
  std::thread([&] { child = std::make_unique<AnsweringProcess>(shell("exec cat")); }).join();
  EXPECT_EQ(child->ask("still here"), "still here");
}

TEST(AnsweringProcess, SaysHowAChildEnded) {
  AnsweringProcess child(shell("read -r line; exit 3"));
  expect_user_error(ExitCode::kResources, "exit status 3", [&] { child.ask("go"); });
  expect_user_error(ExitCode::kResources, "cannot be started",
                    [] { AnsweringProcess({"/no/such/program"}); });
}

}  // namespace
}  // namespace anneal
