#include <algorithm>
#include <cstdio>
#include <map>

#include "base/json.h"
#include "formats/safetensors.h"

namespace anneal {
namespace {

// What is in memory already, as a plan and a way to its bytes.
std::vector<TensorPlan> plans_of(const std::vector<NamedTensor>& tensors) {
  std::vector<TensorPlan> plans;
  for (const auto& [name, view] : tensors) plans.push_back({name, view.dtype, view.shape});
  return plans;
}

BytesOfTensor bytes_in(const std::vector<NamedTensor>& tensors) {
  std::map<std::string, std::span<const std::byte>> bytes;
  for (const auto& [name, view] : tensors) bytes.emplace(name, view.bytes);
  return [bytes = std::move(bytes)](const TensorPlan& plan) { return bytes.at(plan.name); };
}

std::string header_of(const std::vector<TensorPlan>& tensors) {
  OrderedJson header;
  header["__metadata__"] = {{"format", "pt"}};
  std::int64_t position = 0;
  for (const auto& tensor : tensors) {
    const auto end = position + tensor.bytes();
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void write_file(const std::filesystem::path& path, std::vector<TensorPlan> tensors,
                const BytesOfTensor& bytes_of) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorPlan& a, const TensorPlan& b) {
    const auto a_bytes = bytes_per_element(a.dtype), b_bytes = bytes_per_element(b.dtype);
    return a_bytes != b_bytes ? a_bytes > b_bytes : a.name < b.name;
  });
  const auto header = header_of(tensors);
  const std::uint64_t header_bytes = header.size();
  AtomicFile file(path);
  file.append({reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes});
  file.append(header);
  for (const auto& tensor : tensors) {
    const auto bytes = bytes_of(tensor);
    file.append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  file.commit();
}

std::string index_of(const TensorShards& shards, const std::vector<std::string>& names) {
  Json weight_map = Json::object();
  std::int64_t total_bytes = 0, total_parameters = 0;
  for (std::size_t index = 0; index < shards.size(); ++index)
    for (const auto& tensor : shards[index]) {
      weight_map[tensor.name] = names[index];
      total_bytes += tensor.bytes();
      total_parameters += tensor.bytes() / bytes_per_element(tensor.dtype);
    }
  const Json index = {{"metadata", {{"total_parameters", total_parameters}, {"total_size", total_bytes}}},
                      {"weight_map", weight_map}};
  return index.dump(2) + "\n";
}

}  // namespace

std::int64_t TensorPlan::bytes() const {
  std::int64_t total = bytes_per_element(dtype);
  for (const auto size : shape) total *= size;
  return total;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  write_file(path, plans_of(tensors), bytes_in(tensors));
}

TensorShards cut_into_shards(const std::vector<TensorPlan>& tensors, std::int64_t shard_bytes) {
  TensorShards shards(1);
  std::int64_t in_shard = 0;
  for (const auto& tensor : tensors) {
    if (in_shard > 0 && in_shard + tensor.bytes() > shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    shards.back().push_back(tensor);
    in_shard += tensor.bytes();
  }
  return shards;
}

std::vector<std::string> write_safetensors_shards(const std::filesystem::path& folder,
                                                  const TensorShards& shards, const BytesOfTensor& bytes_of,
                                                  const std::function<bool(std::size_t)>& is_wanted) {
  std::vector<std::string> names, written;
  for (std::size_t index = 0; index < shards.size(); ++index) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, shards.size());
    names.emplace_back(shards.size() == 1 ? "model.safetensors" : name);
    if (!is_wanted(index)) continue;
    write_file(folder / names.back(), shards[index], bytes_of);
    written.push_back(names.back());
  }
  if (shards.size() > 1 && is_wanted(0)) {
    written.emplace_back("model.safetensors.index.json");
    write_file_atomically(folder / written.back(), index_of(shards, names));
  }
  return written;
}

std::vector<std::string> write_safetensors_folder(const std::filesystem::path& folder,
                                                  const std::vector<TensorPlan>& tensors,
                                                  std::int64_t shard_bytes, const BytesOfTensor& bytes_of) {
  return write_safetensors_shards(folder, cut_into_shards(tensors, shard_bytes), bytes_of,
                                  [](std::size_t) { return true; });
}

std::vector<std::string> write_safetensors_folder(const std::filesystem::path& folder,
                                                  const std::vector<NamedTensor>& tensors,
                                                  std::int64_t shard_bytes) {
  return write_safetensors_folder(folder, plans_of(tensors), shard_bytes, bytes_in(tensors));
}

}  // namespace anneal
