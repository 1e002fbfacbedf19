#include "doctor/machine_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

using testing::HasSubstr;

// Oracle of these: the state of the machine that the test makes.
TEST(MachineFindings, AFolderThatIsNotThereYetIsOnTheDiskAboveIt) {
  const ScratchFolder folder;
  const auto finding = disk_finding("results", folder / "a/b", "elsewhere");
  EXPECT_EQ(finding.subject, "disk of results");
  EXPECT_THAT(finding.text, HasSubstr((folder / "a/b").string()));
  const auto memory_disk = disk_finding("results", "/proc/none", "elsewhere");  // nothing is free there
  EXPECT_EQ(memory_disk.state, FindingState::kNotice);
  EXPECT_EQ(memory_disk.remedy, "elsewhere");
}

TEST(MachineFindings, APortThatIsTakenIsNamed) {
  ::unsetenv("MASTER_PORT");
  EXPECT_EQ(port_finding().state, FindingState::kOk);
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(::listen(listener, 1), 0);  // at a port of the kernel's choice
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::setenv("MASTER_PORT", std::to_string(ntohs(address.sin_port)).c_str(), 1);
  const auto taken = port_finding();
  ::unsetenv("MASTER_PORT");
  ::close(listener);
  EXPECT_EQ(taken.state, FindingState::kNotice);
  EXPECT_THAT(taken.remedy, HasSubstr("MASTER_PORT"));
}

TEST(Findings, ProblemsEndTheProgram) {
  const Finding notice{FindingState::kNotice, "GPU", "none", "buy one"};
  EXPECT_NO_THROW(require_no_problem({notice}));
  try {
    require_no_problem({notice, {FindingState::kProblem, "torch", "is not here", "pip install torch"}});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "torch: is not here\n  try: pip install torch");
    EXPECT_EQ(error.code(), ExitCode::kResources);
  }
}

}  // namespace
}  // namespace anneal
