#include "data/folder_lock.h"

#include <atomic>
#include <memory>
#include <thread>

#include "tests/data/scratch.h"

namespace anneal {
namespace {

class FolderLocks : public Scratch {};

// Oracle: locks exclude each other, so at any time one at most is held.
TEST_F(FolderLocks, OnlyOneIsHeld) {
  const auto folder = folder_ / "data";
  {
    const FolderLock first(folder);
    EXPECT_TRUE(first.is_held());
    EXPECT_FALSE(FolderLock(folder).is_held());
    EXPECT_TRUE(FolderLock(folder_ / "other").is_held());
  }
  EXPECT_TRUE(FolderLock(folder).is_held());
}

// Oracle: as above, where the file that somebody waits for has gone meanwhile.
TEST_F(FolderLocks, WhoWaitsForALockThatIsRemovedMakesANewOne) {
  const auto folder = folder_ / "data";
  std::atomic<bool> waits = false, may_end = false, has_it = false;
  auto first = std::make_unique<FolderLock>(folder);
  std::thread other([&] {
    const FolderLock second(folder, [&](const std::string&) {
      waits = true;
      waits.notify_one();
    });
    has_it = true;
    has_it.notify_one();
    may_end.wait(false);
  });
  waits.wait(false);
  first->remove_file();
  first.reset();
  has_it.wait(false);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "data.lock"));
  EXPECT_FALSE(FolderLock(folder).is_held());
  may_end = true;
  may_end.notify_one();
  other.join();
}

}  // namespace
}  // namespace anneal
