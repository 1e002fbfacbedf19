#include "base/pages_behind.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/memory.h"
#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

constexpr std::int64_t kMegabyte = 1 << 20;
constexpr std::int64_t kFile = 64 * kMegabyte;
constexpr std::int64_t kSpare = 16 * kMegabyte;  // the step of PagesBehind, and what else a process does

// Oracle: the bytes that were written; a plain pass over the mapping holds all of them in memory.
TEST(PagesBehind, MemoryStaysBelowTheFile) {
  const ScratchFolder folder;
  std::string text(kFile, 'x');
  for (std::size_t at = 0; at < text.size(); at += 4096) text[at] = static_cast<char>('a' + at / 4096 % 26);
  const auto path = folder.write("file", text);
  const auto sum = [](std::string_view bytes) {
    std::uint64_t total = 0;
    for (std::size_t at = 0; at < bytes.size(); at += 512) total += static_cast<unsigned char>(bytes[at]);
    return total;
  };
  const auto expected = sum(text);
  text = {};
  const auto read = [&](bool drops) {
    const MappedFile file(path, ExitCode::kData);
    PagesBehind behind(file.text());
    const auto before = resident_memory_bytes();
    std::uint64_t total = 0;
    for (std::size_t at = 0; at < file.text().size(); at += 5000 / 512 * 512) {
      if (drops) behind.pass(at);
      total += sum(file.text().substr(at, 5000 / 512 * 512));
    }
    EXPECT_EQ(total, expected);
    EXPECT_EQ(sum(file.text().substr(0, 8192)), sum(read_file(path, ExitCode::kData).substr(0, 8192)))
        << "what was given back is read again";
    return resident_memory_bytes() - before;
  };
  EXPECT_LT(read(true), kSpare);
  EXPECT_GT(read(false), kFile - kSpare);
}

}  // namespace
}  // namespace anneal
