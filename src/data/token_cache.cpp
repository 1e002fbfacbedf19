#include "data/token_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "base/options.h"
#include "data/folder_lock.h"
#include "data/token_files.h"
#include "hub/model.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

using Log = std::function<void(const std::string&)>;

// A file is: this header, a JSON text, the arrays of ExampleArrays in their order; each begins at a multiple
// of kAlignment. Numbers are as the processor has them.
struct Header {
  std::array<char, 8> name = {'A', 'N', 'N', 'E', 'A', 'L', 'T', 'K'};
  std::uint32_t version = 2;  // changes with the form of the file, and with what makes tokens of rows
  std::uint32_t json_bytes = 0;
  std::array<char, 64> sha256 = {};  // of the hashes of the JSON text and of each array
};
constexpr std::size_t kAlignment = 16;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

template <class Value>
std::string_view bytes_of(std::span<const Value> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

// Calls visit with each array of `arrays`.
template <class Arrays, class Visit>
void for_each_array(Arrays& arrays, const Visit& visit) {
  visit(arrays.ids);
  visit(arrays.starts);
  visit(arrays.prompt_lengths);
  visit(arrays.rows);
  visit(arrays.untrained);
  visit(arrays.untrained_starts);
}

std::string hash_of(std::string_view json, const ExampleArrays& arrays) {
  std::string hashes = sha256_hex(json);
  for_each_array(arrays, [&](auto values) { hashes += sha256_hex(bytes_of(values)); });
  return sha256_hex(hashes);
}

Json json_of(const ExampleCounts& counts) {
  return {{"rows", counts.rows},
          {"dropped", counts.dropped},
          {"truncated", counts.truncated},
          {"first_dropped", counts.first_dropped},
          {"skipped", counts.skipped},
          {"trained_tokens", counts.trained_tokens},
          {"ended", counts.ended},
          {"longest", counts.longest},
          {"specials_in_text", counts.specials_in_text}};
}

ExampleCounts counts_of(const Json& json) {
  return {.rows = json.at("rows"),
          .dropped = json.at("dropped"),
          .first_dropped = json.at("first_dropped"),
          .truncated = json.at("truncated"),
          .skipped = json.at("skipped"),
          .trained_tokens = json.at("trained_tokens"),
          .ended = json.at("ended"),
          .longest = json.at("longest"),
          .specials_in_text = json.at("specials_in_text")};
}

// All that decides the tokens.
std::string key_of(const fs::path& path, const TokenOrigin& origin, ExampleOptions options,
                   const ExampleSetOptions& set_options) {
  Json key = {{"data", origin.data_sha256},
              {"file", path.filename().string()},
              {"options", OptionTable(options).to_json()},
              {"skip_bad_rows", set_options.skip_bad_rows}};
  if (set_options.first_rows) key["first_rows"] = *set_options.first_rows;
  std::vector<fs::path> files;
  std::error_code error;
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"})
    if (fs::is_regular_file(origin.model_folder / name, error)) files.emplace_back(name);
  const auto templates = chat_template_files(origin.model_folder);
  files.insert(files.end(), templates.begin(), templates.end());
  for (const auto& file : files)
    key["model"][file.string()] = sha256_hex_of_file(origin.model_folder / file, ExitCode::kModel);
  return sha256_hex(key.dump());
}

bool are_starts(std::span<const std::int64_t> starts, std::size_t count, std::size_t end) {
  return starts.size() == count + 1 && starts.front() == 0 && std::is_sorted(starts.begin(), starts.end()) &&
         starts.back() == static_cast<std::int64_t>(end);
}

// Nothing where the file does not hold what a Header promises; then it is made again.
std::optional<ExampleSet> map_examples(const fs::path& path, const std::string& key) try {
  const auto in_use = std::make_shared<const TokenFileInUse>(path);
  if (!in_use->is_there()) return std::nullopt;
  const auto file = std::make_shared<const MappedFile>(path, ExitCode::kData);
  const auto text = file->text();
  Header header;
  if (text.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, text.data(), sizeof header);
  if (header.name != Header().name || header.version != Header().version) return std::nullopt;
  const auto json_text = text.substr(sizeof header, header.json_bytes);
  const Json json = Json::parse(json_text);
  if (json.at("key") != key) return std::nullopt;
  ExampleArrays arrays;
  auto at = aligned(sizeof header + header.json_bytes);
  auto size = json.at("sizes").begin();
  bool fits = true;
  for_each_array(arrays, [&]<class Value>(std::span<const Value>& values) {
    const std::size_t count = *size++;
    fits = fits && at <= text.size() && count <= (text.size() - at) / sizeof(Value);
    if (!fits) return;
    values = {reinterpret_cast<const Value*>(text.data() + at), count};
    at = aligned(at + values.size_bytes());
  });
  const auto samples = arrays.rows.size();
  if (!fits || hash_of(json_text, arrays) != std::string_view(header.sha256.data(), header.sha256.size()) ||
      arrays.prompt_lengths.size() != samples || !are_starts(arrays.starts, samples, arrays.ids.size()) ||
      !are_starts(arrays.untrained_starts, samples, arrays.untrained.size()))
    return std::nullopt;
  return ExampleSet(arrays, counts_of(json.at("counts")),
                    std::make_shared<const std::pair<decltype(in_use), decltype(file)>>(in_use, file));
} catch (const Json::exception&) {
  return std::nullopt;
}

// Only under the lock: what a process left that was ended while it wrote.
void remove_leftovers(const fs::path& path) {
  const auto begin = path.filename().string() + kPartialInfix;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), error))
    if (entry.path().filename().string().starts_with(begin)) fs::remove(entry.path(), error);
}

void write_examples(const fs::path& path, const std::string& key, const ExampleSet& examples) {
  const auto& arrays = examples.arrays();
  Json sizes = Json::array();
  for_each_array(arrays, [&](auto values) { sizes.push_back(values.size()); });
  const auto json = Json({{"key", key}, {"counts", json_of(examples.counts())}, {"sizes", sizes}}).dump();
  Header header;
  header.json_bytes = static_cast<std::uint32_t>(json.size());
  const auto sha256 = hash_of(json, arrays);
  std::copy(sha256.begin(), sha256.end(), header.sha256.begin());

  AtomicFile file(path);
  std::size_t written = 0;
  const auto append = [&](std::string_view bytes) {
    file.append(bytes);
    written += bytes.size();
  };
  const auto align = [&] { append(std::string(aligned(written) - written, '\0')); };
  append({reinterpret_cast<const char*>(&header), sizeof header});
  append(json);
  for_each_array(arrays, [&](auto values) {
    align();
    append(bytes_of(values));
  });
  file.commit();
}

}  // namespace

ExampleSet load_kept_examples(const fs::path& path, const TokenOrigin& origin, const ExampleEncoder& encoder,
                              const ExampleOptions& options, const ExampleSetOptions& set_options,
                              const Log& say) {
  std::error_code error;
  if (!set_options.required && !fs::exists(path, error)) return {};
  const auto key = key_of(path, origin, options, set_options);
  const auto file = token_file(path, origin.data_sha256, key);
  const auto kept = [&]() -> std::optional<ExampleSet> {
    if (!fs::exists(file, error)) return std::nullopt;
    auto examples = map_examples(file, key);
    if (examples) say("tokens of " + path.string() + " from " + file.string());
    return examples;
  };
  if (auto examples = kept()) return *examples;
  const auto in_memory = [&](const std::string& reason) {
    say("notice: the tokens of " + path.string() + " are not kept for the next run: " + reason);
    return load_examples(path, encoder, options, set_options);
  };
  std::optional<FolderLock> lock;
  try {
    make_folder(file.parent_path(), "");
    lock.emplace(file, say);
  } catch (const UserError& failure) {
    return in_memory(failure.problems()[0].where + ": " + failure.problems()[0].problem);
  }
  if (auto examples = kept()) return *examples;
  if (fs::exists(file, error))
    say("notice: " + file.string() + " is damaged or of another version, and is made again");
  auto examples = load_examples(path, encoder, options, set_options);
  try {
    remove_leftovers(file);
    write_examples(file, key, examples);
    remove_old_token_files(file, say);
  } catch (const UserError& failure) {
    say("notice: the tokens of " + path.string() +
        " are not kept for the next run: " + failure.problems()[0].problem);
    return examples;
  }
  // Mapped, they take no memory that the system could not have back.
  const auto mapped = map_examples(file, key);
  return mapped ? *mapped : examples;
}

}  // namespace anneal
