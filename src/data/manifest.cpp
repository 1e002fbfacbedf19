#include "data/manifest.h"

#include "base/file.h"
#include "data/dataset_mix.h"

namespace anneal {
namespace {

constexpr int kVersion = 1;
constexpr const char* kMessagesField = "messages_field";  // of chats alone
constexpr const char* kData = "data";                     // of several datasets alone

Json json_of(const DataFile& file) {
  return {{"rows", file.rows}, {"bytes", file.bytes}, {"sha256", file.sha256}};
}

DataFile data_file_of(const Json& json) {
  return {json.at("rows").get<std::int64_t>(), json.at("bytes").get<std::uint64_t>(), json.at("sha256")};
}

Json json_of(const DatasetRows& dataset) {
  return {{"name", dataset.name},
          {"rows", dataset.rows},
          {"training", dataset.training},
          {"validation", dataset.validation},
          {"test", dataset.test}};
}

DatasetRows dataset_rows_of(const Json& json) {
  return {json.at("name"), json.at("rows"), json.at("training"), json.at("validation"), json.at("test")};
}

std::string normal_name(const std::string& name) {
  return std::filesystem::path(name).lexically_normal().string();
}

bool is_as_measured(const std::filesystem::path& path, const DataFile& expected) {
  std::error_code error;
  return std::filesystem::file_size(path, error) == expected.bytes && !error &&
         sha256_hex_of_file(path, ExitCode::kData) == expected.sha256;
}

}  // namespace

Json recipe_of(const DatasetOptions& options, std::uint64_t seed) {
  std::vector<Problem> ignored;  // validate() has reported them
  const auto format = row_format(options, ignored);
  const auto datasets = datasets_of(options, ignored);
  Json recipe = {{"dataset_name", normal_name(name_of(datasets))},
                 {"dataset_config", options.hfdc_dataset_config},
                 {"split", options.hfdc_split},
                 {"train_ratio", options.hfdc_train_split_ratio},
                 {"val_test_ratio", options.hfdc_val_test_split_ratio},
                 {"split_seed", options.split_seed_or(seed)},
                 {"input_template", format.chat ? "" : options.hfdc_input_template},
                 {"output_template", format.chat ? "" : options.hfdc_output_template},
                 {"template_escapes", options.template_escapes},
                 {"field_mapping", format.columns},
                 {"keep_empty_output", options.keep_empty_output}};
  if (format.chat) recipe[kMessagesField] = format.chat->messages;
  if (!options.data.empty())
    for (const auto& dataset : datasets)
      recipe[kData].push_back({normal_name(dataset.name), dataset.weight ? Json(*dataset.weight) : Json()});
  if (options.hfdc_revision != "main") recipe["revision"] = options.hfdc_revision;
  return recipe;
}

DataFile measure(const std::filesystem::path& path, std::int64_t rows) {
  auto sha256 = sha256_hex_of_file(path, ExitCode::kData);
  std::error_code error;
  return {rows, std::filesystem::file_size(path, error), std::move(sha256)};
}

std::string Manifest::recipe_sha256() const { return sha256_hex(recipe.dump()); }

std::string Manifest::spec_sha256() const {
  std::string text = std::to_string(kVersion) + "\n" + recipe.dump() + "\n";
  for (const auto& file : source) {
    text += std::to_string(file.bytes) + " " + file.sha256;
    if (!file.delimiter.empty()) text += " " + Json(file.delimiter).dump();
    text += "\n";
  }
  return sha256_hex(text);
}

std::string Manifest::data_sha256() const {
  return sha256_hex(training.sha256 + "\n" + validation.sha256 + "\n" + test.sha256 + "\n");
}

std::optional<Manifest> read_manifest(const std::filesystem::path& folder) {
  try {
    const Json json = read_json_file(folder / kManifestName, ExitCode::kData);
    if (json.at("version") != kVersion) return std::nullopt;
    Manifest manifest;
    for (const char* key :
         {"dataset_name", "dataset_config", "split", "train_ratio", "val_test_ratio", "split_seed",
          "input_template", "output_template", "template_escapes", "field_mapping", "keep_empty_output"})
      manifest.recipe[key] = json.at(key);
    for (const char* key : {kMessagesField, kData, "revision"})
      if (json.contains(key)) manifest.recipe[key] = json.at(key);
    for (const auto& file : json.at("source"))
      manifest.source.push_back({file.at("path"), file.at("size").get<std::uint64_t>(), file.at("sha256"),
                                 file.value("delimiter", "")});
    const auto& files = json.at("files");
    manifest.training = data_file_of(files.at(kTrainingFile));
    manifest.validation = data_file_of(files.at(kValidationFile));
    manifest.test = data_file_of(files.at(kTestFile));
    manifest.dropped = json.at("dropped").get<std::map<std::string, std::int64_t>>();
    manifest.null_fields = json.at("null_fields");
    manifest.skipped_rows = json.at("skipped_rows");
    for (const auto& dataset : json.value("datasets", Json::array()))
      manifest.datasets.push_back(dataset_rows_of(dataset));
    manifest.created = json.at("created");
    if (json.at("spec_sha256") != manifest.spec_sha256()) return std::nullopt;
    return manifest;
  } catch (const UserError&) {
    return std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

void write_manifest(const std::filesystem::path& folder, const Manifest& manifest) {
  Json json = manifest.recipe;
  json["version"] = kVersion;
  json["spec_sha256"] = manifest.spec_sha256();
  json["source"] = Json::array();
  for (const auto& file : manifest.source) {
    json["source"].push_back({{"path", file.path}, {"size", file.bytes}, {"sha256", file.sha256}});
    if (!file.delimiter.empty()) json["source"].back()["delimiter"] = file.delimiter;
  }
  json["files"] = {{kTrainingFile, json_of(manifest.training)},
                   {kValidationFile, json_of(manifest.validation)},
                   {kTestFile, json_of(manifest.test)}};
  json["dropped"] = manifest.dropped;
  json["null_fields"] = manifest.null_fields;
  json["skipped_rows"] = manifest.skipped_rows;
  for (const auto& dataset : manifest.datasets) json["datasets"].push_back(json_of(dataset));
  json["created"] = manifest.created;
  write_file_atomically(folder / kManifestName, json.dump(2) + "\n");
}

std::string damaged_file(const std::filesystem::path& folder, const Manifest& manifest) {
  if (!is_as_measured(folder / kTrainingFile, manifest.training)) return kTrainingFile;
  if (!is_as_measured(folder / kValidationFile, manifest.validation)) return kValidationFile;
  return is_as_measured(folder / kTestFile, manifest.test) ? "" : kTestFile;
}

}  // namespace anneal
