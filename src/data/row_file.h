// A file of rows, and what its name says about how to read it.
#pragma once
#include <filesystem>
#include <string_view>

namespace anneal {

enum class FileKind { kNone, kJson, kJsonLines, kCsv, kText, kParquet, kArrow };

struct RowFile {
  std::filesystem::path path;
  FileKind kind = FileKind::kNone;
  char delimiter = ',';  // of kCsv
};

inline constexpr const char* kReadableKinds =
    ".jsonl, .json, .csv, .tsv, .txt, .parquet or .arrow (each also .gz or .zst)";

// By the extension, lower or upper case: .jsonl or .ndjson, .json, .csv, .tsv, .txt, .parquet, .arrow, each
// also followed by .gz or .zst. kNone for any other.
RowFile row_file(const std::filesystem::path& path);

// Whether the `datasets` library may make rows of a file of this name, where row_file() says kNone.
bool is_for_the_library(const std::filesystem::path& path);

}  // namespace anneal
