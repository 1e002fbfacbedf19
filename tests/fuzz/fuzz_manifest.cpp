// .data_ready of a folder of prepared data.
#include "data/manifest.h"

#include "base/file.h"
#include "tests/fuzz/driver.h"

namespace anneal {
namespace {

void run(const std::filesystem::path& file, std::string_view) {
  const auto folder = file.parent_path();
  const auto manifest = read_manifest(folder);
  if (!manifest) fail(ExitCode::kData, "not a manifest", file.string(), "");
  manifest->recipe_sha256();
  manifest->data_sha256();
  damaged_file(folder, *manifest);
  const auto again_in = folder / "again";
  make_folder(again_in, "");
  write_manifest(again_in, *manifest);
  const auto again = read_manifest(again_in);
  expect(again.has_value(), "what is written can be read");
  expect(again->spec_sha256() == manifest->spec_sha256(), "what is written means the same");
  expect(again->data_sha256() == manifest->data_sha256(), "what is written names the same files");
}

}  // namespace

const FuzzTarget kFuzzTarget = {kManifestName,
                                {"\"version\": 1",
                                 "\"source\": [",
                                 "\"files\": {",
                                 "\"rows\": ",
                                 "-1",
                                 "1e9",
                                 "null",
                                 "{}",
                                 "[]",
                                 "\"",
                                 "true",
                                 "18446744073709551615",
                                 "-9223372036854775808",
                                 "\"dropped\": {",
                                 "\"recipe\"",
                                 "\"datasets\": [",
                                 "\"delimiter\": ",
                                 "\"messages_field\": ",
                                 "\\ud800",
                                 "\xFF"},
                                true,
                                run};

}  // namespace anneal
