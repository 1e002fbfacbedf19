// The safetensors format: a strict reader over mapped files and a deterministic writer. No tensors library
// here: a tensor is a dtype, a shape and bytes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace anneal {

enum class DType { kFloat32, kFloat16, kBFloat16, kInt64, kInt32, kUInt8, kBool };

std::int64_t bytes_per_element(DType dtype);
std::string_view dtype_name(DType dtype);  // "F32", "BF16", ...
bool is_floating_point(DType dtype);

struct TensorView {
  DType dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // inside the mapping of the file that it came from
};

// One mapped file. Throws UserError(kModel) that names the file, and the tensor where one is at fault.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::filesystem::path& path() const { return path_; }
  void drop_pages() const { file_.drop_pages(); }

 private:
  void parse_header();
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
};

// All tensors of a Hugging Face model folder: model.safetensors, or the shards that
// model.safetensors.index.json names. Views stay valid as long as the object lives.
class SafetensorsFolder {
 public:
  explicit SafetensorsFolder(const std::filesystem::path& folder);
  // Throws UserError(kModel) when there is none.
  const TensorView& tensor(const std::string& name) const;
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  std::string file_of(const std::string& name) const;
  void drop_pages() const;  // see MappedFile
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }

 private:
  void add(const std::filesystem::path& path);
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> file_of_;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};

// A tensor that is to be written, without its bytes.
struct TensorPlan {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  std::int64_t bytes() const;
};

// The bytes of a planned tensor; they stay valid until the next call.
using BytesOfTensor = std::function<std::span<const std::byte>(const TensorPlan&)>;

// Writes atomically, tensors ordered by falling alignment, then name; metadata {"format":"pt"}.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

// In the order given; a tensor larger than `shard_bytes` has a shard of its own.
using TensorShards = std::vector<std::vector<TensorPlan>>;
TensorShards cut_into_shards(const std::vector<TensorPlan>& tensors, std::int64_t shard_bytes);

// Writes those shards that `is_wanted` names, and with the first of all their index. One shard is
// model.safetensors. Returns the names of the files written.
std::vector<std::string> write_safetensors_shards(const std::filesystem::path& folder,
                                                  const TensorShards& shards, const BytesOfTensor& bytes_of,
                                                  const std::function<bool(std::size_t)>& is_wanted);

// Writes model.safetensors, or shards of at most `shard_bytes` with their index, tensors in the order given.
// Returns the names of the files written.
std::vector<std::string> write_safetensors_folder(const std::filesystem::path& folder,
                                                  const std::vector<NamedTensor>& tensors,
                                                  std::int64_t shard_bytes);

// The same of tensors that are made one by one: no more than one of them is held.
std::vector<std::string> write_safetensors_folder(const std::filesystem::path& folder,
                                                  const std::vector<TensorPlan>& tensors,
                                                  std::int64_t shard_bytes, const BytesOfTensor& bytes_of);

}  // namespace anneal
