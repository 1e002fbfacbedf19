#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/json.h"

namespace anneal {
namespace {

constexpr std::uint64_t kMaximumHeaderBytes = 100'000'000;  // the limit of the reference implementation

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::int64_t bytes;
};
constexpr DTypeRow kDTypes[] = {{DType::kFloat32, "F32", 4},   {DType::kFloat16, "F16", 2},
                                {DType::kBFloat16, "BF16", 2}, {DType::kInt64, "I64", 8},
                                {DType::kInt32, "I32", 4},     {DType::kUInt8, "U8", 1},
                                {DType::kBool, "BOOL", 1}};

const DTypeRow& row_of(DType dtype) {
  return *std::find_if(std::begin(kDTypes), std::end(kDTypes),
                       [&](const auto& row) { return row.dtype == dtype; });
}

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& problem) {
  fail(ExitCode::kModel, problem, path.string(),
       "download or copy the file again; it is damaged or incomplete");
}

std::string quoted(const std::string& name) { return "tensor '" + name + "'"; }

std::optional<std::int64_t> product(const std::vector<std::int64_t>& shape, std::int64_t element_bytes) {
  std::int64_t total = element_bytes;
  for (const auto size : shape)
    if (__builtin_mul_overflow(total, size, &total)) return std::nullopt;
  return total;
}

}  // namespace

std::int64_t bytes_per_element(DType dtype) { return row_of(dtype).bytes; }
std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }
bool is_floating_point(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(path, ExitCode::kModel) {
  parse_header();
}

void SafetensorsFile::parse_header() {
  const auto bytes = file_.bytes();
  std::uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    damaged(path_, "is " + std::to_string(bytes.size()) + " bytes long; a safetensors file has at least 8");
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes == 0 || header_bytes > kMaximumHeaderBytes)
    damaged(path_, "header length " + std::to_string(header_bytes) + " is not possible");
  if (header_bytes > bytes.size() - sizeof header_bytes)
    damaged(path_, "header of " + std::to_string(header_bytes) + " bytes, but the file has " +
                       std::to_string(bytes.size()));
  const auto header_text = file_.text().substr(sizeof header_bytes, header_bytes);
  if (header_text.front() != '{') damaged(path_, "the header does not start with '{'");
  const Json header = parse_json(header_text, path_.string(), ExitCode::kModel);
  const auto data = bytes.subspan(sizeof header_bytes + header_bytes);

  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto where = path_.string() + ": " + quoted(name);
    const auto type =
        required<std::string>(entry.is_object() ? entry : Json::object(), "dtype", where, ExitCode::kModel);
    const auto row =
        std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](const auto& r) { return r.name == type; });
    if (row == std::end(kDTypes))
      fail(ExitCode::kModel, "dtype " + type + " is not supported", where,
           "use weights stored as F32, F16 or BF16; quantized weights cannot be trained");
    const auto is_count = [](const Json& value) { return value.is_number_unsigned(); };
    const auto& shape = entry.value("shape", Json());
    const auto& offsets = entry.value("data_offsets", Json());
    if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_count))
      damaged(path_, quoted(name) + " has no valid shape");
    if (!offsets.is_array() || offsets.size() != 2 || !std::all_of(offsets.begin(), offsets.end(), is_count))
      damaged(path_, quoted(name) + " has no valid data_offsets");
    const auto begin = offsets[0].get<std::uint64_t>();
    const auto end = offsets[1].get<std::uint64_t>();
    if (begin > end || end > data.size())
      damaged(path_, quoted(name) + " ends at byte " + std::to_string(end) + " of the data, the file has " +
                         std::to_string(data.size()));
    auto sizes = shape.get<std::vector<std::int64_t>>();
    if (std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 0; }))
      damaged(path_, quoted(name) + " has no valid shape");
    const auto expected = product(sizes, row->bytes);
    if (!expected || static_cast<std::uint64_t>(*expected) != end - begin)
      damaged(path_, quoted(name) + " has " + std::to_string(end - begin) +
                         " bytes, which its shape and dtype deny");
    ranges.emplace_back(begin, end);
    tensors_.emplace(name, TensorView{row->dtype, std::move(sizes), data.subspan(begin, end - begin)});
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t position = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != position)
      damaged(path_, "tensors overlap or leave a hole at byte " + std::to_string(position));
    position = end;
  }
  if (position != data.size())
    damaged(path_, "tensors end at byte " + std::to_string(position) + " of the data, the file has " +
                       std::to_string(data.size()));
}

SafetensorsFolder::SafetensorsFolder(const std::filesystem::path& folder) : folder_(folder) {
  const auto index_path = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(index_path)) {
    if (!std::filesystem::exists(folder / "model.safetensors"))
      fail(ExitCode::kModel, "there is neither model.safetensors nor model.safetensors.index.json",
           folder.string(), "name a Hugging Face model folder with safetensors weights");
    add(folder / "model.safetensors");
    return;
  }
  const Json index = read_json_file(index_path, ExitCode::kModel);
  const auto map = required<std::map<std::string, std::string>>(index, "weight_map", index_path.string(),
                                                                ExitCode::kModel);
  std::map<std::string, std::filesystem::path> shards;
  for (const auto& [tensor, shard] : map) {
    if (std::filesystem::path(shard).filename() != shard)
      fail(ExitCode::kModel, "names the file \"" + shard + "\", which is not in the folder",
           index_path.string(), "use an index whose shards lie beside it");
    shards.emplace(shard, folder / shard);
  }
  for (const auto& [shard, path] : shards) {
    if (!std::filesystem::exists(path))
      fail(ExitCode::kModel, "names the file " + shard + ", which is missing", index_path.string(),
           "download the missing file");
    add(path);
  }
  for (const auto& [tensor, shard] : map)
    if (!contains(tensor) || file_of_.at(tensor) != shard)
      fail(ExitCode::kModel, quoted(tensor) + " is missing", (folder / shard).string(),
           "download the file again; the index promises it");
}

void SafetensorsFolder::add(const std::filesystem::path& path) {
  files_.push_back(std::make_unique<SafetensorsFile>(path));
  for (const auto& [name, view] : files_.back()->tensors()) {
    if (!tensors_.emplace(name, view).second)
      fail(ExitCode::kModel, quoted(name) + " stands in two files", path.string(),
           "use one complete set of shards");
    file_of_.emplace(name, path.filename().string());
  }
}

const TensorView& SafetensorsFolder::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end())
    fail(ExitCode::kModel, quoted(name) + " is missing", folder_.string(),
         "use a complete model of this architecture");
  return found->second;
}

void SafetensorsFolder::drop_pages() const {
  for (const auto& file : files_) file->drop_pages();
}

std::string SafetensorsFolder::file_of(const std::string& name) const {
  const auto found = file_of_.find(name);
  return found == file_of_.end() ? folder_.string() : (folder_ / found->second).string();
}

}  // namespace anneal
