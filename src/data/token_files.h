// The files in which tokens are kept: their names, which are in use, and which may go.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace anneal {

// Of one data file so many stay; a further one takes the place of the one that was not used for longest.
constexpr std::size_t kKeptTokenFiles = 8;

// "<stem>-<8 digits of the data's hash>-<16 of the key>", in "tokens" beside the data file.
std::filesystem::path token_file(const std::filesystem::path& data_file, const std::string& data_sha256,
                                 const std::string& key);

// While it lives no process removes the file. That matters where other machines read it: here, what is mapped
// stays until the last process lets go of it.
class TokenFileInUse {
 public:
  explicit TokenFileInUse(const std::filesystem::path& file);
  ~TokenFileInUse();
  TokenFileInUse(const TokenFileInUse&) = delete;
  TokenFileInUse& operator=(const TokenFileInUse&) = delete;
  bool is_there() const { return descriptor_ >= 0; }  // and no other process was about to remove it

 private:
  int descriptor_;
};

// To be called when `kept` has been made. Removes files of the same data file: those made when it, or one of
// the files beside it, was another; what a process left that was ended while it wrote; and of the rest all
// but the kKeptTokenFiles that were used last. One that is in use or being made stays. Says what it does.
void remove_old_token_files(const std::filesystem::path& kept,
                            const std::function<void(const std::string&)>& say);

}  // namespace anneal
