#include "data/row_file.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>

namespace anneal {
namespace {

std::string lower_extension(const std::filesystem::path& path) {
  auto extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

}  // namespace

RowFile row_file(const std::filesystem::path& path) {
  static const std::map<std::string, FileKind> kTextKinds = {
      {".jsonl", FileKind::kJsonLines}, {".ndjson", FileKind::kJsonLines}, {".json", FileKind::kJson},
      {".csv", FileKind::kCsv},         {".tsv", FileKind::kCsv},          {".txt", FileKind::kText}};
  RowFile file{path};
  auto extension = lower_extension(path);
  if (extension == ".parquet") file.kind = FileKind::kParquet;
  if (extension == ".arrow") file.kind = FileKind::kArrow;
  if (extension == ".gz" || extension == ".zst") extension = lower_extension(path.stem());
  if (const auto found = kTextKinds.find(extension); found != kTextKinds.end()) file.kind = found->second;
  if (extension == ".tsv") file.delimiter = '\t';
  return file;
}

bool is_for_the_library(const std::filesystem::path& path) {
  static const std::set<std::string> kExtensions = {
      ".zip", ".tar",   ".bz2", ".xz",    ".lz4",    ".7z",     ".gz",    ".zst",  ".xml", ".hdf5",
      ".h5",  ".png",   ".jpg", ".gif",   ".jpeg",   ".webp",   ".wav",   ".flac", ".mp3", ".ogg",
      ".mp4", ".conll", ".pdf", ".lance", ".conllu", ".vortex", ".fasta", ".fastq"};
  return kExtensions.contains(lower_extension(path));
}

}  // namespace anneal
