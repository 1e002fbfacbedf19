#include "data/row_file.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>

#include "formats/unpack.h"

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
  static const std::map<std::string, FileKind> kKinds = {
      {".jsonl", FileKind::kJsonLines}, {".ndjson", FileKind::kJsonLines}, {".json", FileKind::kJson},
      {".csv", FileKind::kCsv},         {".tsv", FileKind::kCsv},          {".txt", FileKind::kText},
      {".parquet", FileKind::kParquet}, {".arrow", FileKind::kArrow}};
  RowFile file{path};
  const auto extension = lower_extension(is_packed(path) ? path.stem() : path);
  if (const auto found = kKinds.find(extension); found != kKinds.end()) file.kind = found->second;
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
