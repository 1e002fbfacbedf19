// .data_ready: what a folder of prepared data was made from. Written last, so its presence means complete.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset_options.h"

namespace anneal {

inline constexpr const char* kManifestName = ".data_ready";
inline constexpr const char* kTrainingFile = "training.jsonl";
inline constexpr const char* kValidationFile = "validation.jsonl";
inline constexpr const char* kTestFile = "test.jsonl";

struct SourceFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;
  std::string delimiter;  // of a .csv file, where it is not what the name says
};

struct DataFile {
  std::int64_t rows = 0;
  std::uint64_t bytes = 0;
  std::string sha256;
};

// Of one of several datasets: rows that were rendered, and of those the lines of each file.
struct DatasetRows {
  std::string name;
  std::int64_t rows = 0, training = 0, validation = 0, test = 0;
};

struct Manifest {
  Json recipe;                     // everything but the source that the content depends on
  std::vector<SourceFile> source;  // in reading order
  DataFile training, validation, test;
  std::map<std::string, std::int64_t> dropped;  // reason -> rows
  std::int64_t null_fields = 0;
  std::int64_t skipped_rows = 0;      // could not be read
  std::vector<DatasetRows> datasets;  // of --data; empty where there is one
  std::string created;

  std::string recipe_sha256() const;
  std::string spec_sha256() const;  // recipe and source content
  std::string data_sha256() const;  // of the three files
};

Json recipe_of(const DatasetOptions& options, std::uint64_t seed);
DataFile measure(const std::filesystem::path& path, std::int64_t rows);

// Nothing where the folder holds no manifest of ours.
std::optional<Manifest> read_manifest(const std::filesystem::path& folder);
void write_manifest(const std::filesystem::path& folder, const Manifest& manifest);

// The first file that is not as the manifest says; empty where all are.
std::string damaged_file(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace anneal
