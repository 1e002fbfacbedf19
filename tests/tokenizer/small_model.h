// Tokenizers for tests, written to a folder of their own.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

class ModelFolder {
 public:
  ModelFolder() {
    static int made = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("anneal_tokenizer_" + std::to_string(::getpid()) + "_" + std::to_string(made++));
    std::filesystem::create_directories(path_);
  }
  ~ModelFolder() { std::filesystem::remove_all(path_); }
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    write_file_atomically(path_ / name, text);
  }

 private:
  std::filesystem::path path_;
};

// Characters a, b, c, d and the merges "ab", "abc"; ids in the order of the names below.
inline Json small_tokenizer() {
  return Json::parse(
      R"({"added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": null, "model": {"type": "BPE", "unk_token": null,
    "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "ab": 4, "abc": 5, "\u2581": 6, "\u2581a": 7},
    "merges": ["a b", ["ab", "c"], "\u2581 a"]}})");
}

inline Tokenizer load_tokenizer(const Json& json) {
  const ModelFolder folder;
  folder.write("tokenizer.json", json.dump());
  return Tokenizer::load(folder.path());
}

}  // namespace anneal
