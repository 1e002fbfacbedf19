#include "base/file.h"

#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBufferBytes = 1 << 20;  // the buffer of AtomicFile

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t at = 0; at < size; ++at) text[at] = static_cast<char>(at * 31 + at / 251);
  return text;
}

// Oracle: what stood there before.
TEST(AtomicFile, UncommittedWriteLeavesOldContent) {
  const ScratchFolder folder;
  const auto path = folder.write("file", "old");
  {
    AtomicFile file(path);
    file.append("new");
    EXPECT_EQ(folder.read("file"), "old");
  }
  EXPECT_EQ(folder.read("file"), "old");
  EXPECT_EQ(folder.names(), std::set<std::string>{"file"}) << "nothing partial stays";
}

// Oracle: what stood there before.
TEST(AtomicFile, AnExceptionLeavesOldContent) {
  const ScratchFolder folder;
  const auto path = folder.write("file", "old");
  const auto write = [&] {
    AtomicFile file(path);
    file.append(pattern(3 * kBufferBytes));
    throw std::runtime_error("stop");
  };
  EXPECT_THROW(write(), std::runtime_error);
  EXPECT_EQ(folder.read("file"), "old");
  EXPECT_EQ(folder.names(), std::set<std::string>{"file"});
}

// Oracle: what was appended.
TEST(AtomicFile, CommitReplaces) {
  const ScratchFolder folder;
  const auto path = folder.write("file", "a longer old content");
  AtomicFile file(path);
  file.append("new ");
  file.append("content");
  file.commit();
  EXPECT_EQ(folder.read("file"), "new content");
  EXPECT_EQ(folder.names(), std::set<std::string>{"file"});
}

// Oracle: the concatenation of the pieces, of sizes around the buffer's.
TEST(AtomicFile, KeepsTheOrderOfPiecesOfAllSizes) {
  const ScratchFolder folder;
  std::string wanted;
  AtomicFile file(folder / "file");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{5}, kBufferBytes - 5, std::size_t{1}, kBufferBytes - 1, kBufferBytes,
        kBufferBytes + 1, std::size_t{7}, 3 * kBufferBytes, std::size_t{2}}) {
    const auto piece = pattern(size);
    file.append(piece);
    wanted += piece;
  }
  file.commit();
  EXPECT_EQ(folder.read("file").size(), wanted.size());
  EXPECT_TRUE(folder.read("file") == wanted);
}

// Oracle: the text of the error.
TEST(AtomicFile, NamesAFolderThatIsNotThere) {
  const ScratchFolder folder;
  expect_user_error(ExitCode::kUsage, (folder / "none/file").string(),
                    [&] { write_file_atomically(folder / "none/file", "x"); });
}

// Oracle: the text of the error, and that nothing is left of the attempt.
TEST(AtomicFile, CannotReplaceAFolder) {
  const ScratchFolder folder;
  std::filesystem::create_directories(folder / "taken/inside");
  expect_user_error(ExitCode::kResources, "cannot rename",
                    [&] { write_file_atomically(folder / "taken", "x"); });
  EXPECT_EQ(folder.names(), std::set<std::string>{"taken"});
}

// Oracle: what was written.
TEST(ReadFile, GivesAllBytes) {
  const ScratchFolder folder;
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, kBufferBytes, 2 * kBufferBytes + 17}) {
    const auto path = folder.write("file", pattern(size));
    EXPECT_TRUE(read_file(path, ExitCode::kData) == pattern(size)) << size;
    EXPECT_TRUE(MappedFile(path, ExitCode::kData).text() == pattern(size)) << size;
  }
}

// Oracle: the text and the code of the error.
TEST(ReadFile, ErrorsNameThePath) {
  const ScratchFolder folder;
  const auto none = folder / "none";
  EXPECT_THAT(expect_user_error(ExitCode::kData, none.string(), [&] { read_file(none, ExitCode::kData); }),
              HasSubstr("No such file"));
  expect_user_error(ExitCode::kModel, none.string(), [&] { MappedFile(none, ExitCode::kModel); });
  EXPECT_THAT(
      expect_user_error(ExitCode::kUsage, "cannot read", [&] { read_file(folder.path(), ExitCode::kUsage); }),
      HasSubstr("directory"));
}

// Oracle: an empty span.
TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const ScratchFolder folder;
  const MappedFile file(folder.write("file", ""), ExitCode::kData);
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_EQ(file.text(), "");
}

// Oracle: the known answers of FIPS 180-4 for "", "abc" and a million times "a".
TEST(Sha256, GivesTheKnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1'000'000, 'a');
  EXPECT_EQ(sha256_hex(million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const ScratchFolder folder;
  EXPECT_EQ(sha256_hex_of_file(folder.write("file", million), ExitCode::kData), sha256_hex(million));
}

}  // namespace
}  // namespace anneal
