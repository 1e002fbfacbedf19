#include "formats/safetensors.h"

#include <cstring>

#include "base/json.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::HasSubstr;

// The bytes of a file: header length, header, data.
std::string file_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

std::string error_of(const std::string& bytes) {
  const ScratchFolder folder;
  const auto path = folder.write("weights.safetensors", bytes);
  return expect_user_error(ExitCode::kModel, path.string(), [&] { SafetensorsFile file(path); });
}

std::string error_of_header(const std::string& header, std::size_t data_bytes) {
  return error_of(file_bytes(header, std::string(data_bytes, 'x')));
}

struct Content {
  std::string bytes;
  NamedTensor tensor(const std::string& name, DType dtype, std::vector<std::int64_t> shape) const {
    return {name, {dtype, std::move(shape), std::as_bytes(std::span(bytes))}};
  }
};

std::string text_of(const TensorView& view) {
  return {reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size()};
}

// Oracle: what was written.
TEST(Safetensors, RoundTripKeepsEverything) {
  const ScratchFolder folder;
  const Content eight{"abcdefgh"}, four{"1234"}, one{"!"}, none{""}, sixteen{"0123456789abcdef"};
  write_safetensors(folder / "w",
                    {eight.tensor("f32", DType::kFloat32, {2, 1}), four.tensor("bf16", DType::kBFloat16, {2}),
                     one.tensor("flag", DType::kBool, {}), none.tensor("empty", DType::kFloat32, {0, 7}),
                     sixteen.tensor("i64", DType::kInt64, {2}), four.tensor("f16", DType::kFloat16, {1, 2}),
                     one.tensor("\"odd\" näme", DType::kUInt8, {1})});
  const SafetensorsFile file(folder / "w");
  ASSERT_EQ(file.tensors().size(), 7U);
  EXPECT_EQ(text_of(file.tensors().at("f32")), "abcdefgh");
  EXPECT_EQ(file.tensors().at("f32").shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(file.tensors().at("bf16").dtype, DType::kBFloat16);
  EXPECT_EQ(text_of(file.tensors().at("flag")), "!");
  EXPECT_TRUE(file.tensors().at("flag").shape.empty());
  EXPECT_EQ(file.tensors().at("empty").shape, (std::vector<std::int64_t>{0, 7}));
  EXPECT_EQ(text_of(file.tensors().at("i64")), "0123456789abcdef");
  EXPECT_EQ(text_of(file.tensors().at("\"odd\" näme")), "!");
}

// Oracle: the bytes of the file, written by hand from the format's description.
TEST(Safetensors, WritesTheseBytes) {
  const ScratchFolder folder;
  const Content four{"1234"}, two{"ab"};
  write_safetensors(folder / "w",
                    {two.tensor("b", DType::kBFloat16, {1}), four.tensor("z", DType::kFloat32, {1}),
                     two.tensor("a", DType::kFloat16, {1})});
  std::string header =
      R"({"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("a":{"dtype":"F16","shape":[1],"data_offsets":[4,6]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[6,8]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(folder.read("w"), file_bytes(header, "1234abab"));
}

// Oracle: the same tensors in another order give the same bytes.
TEST(Safetensors, BytesDoNotDependOnTheOrderGiven) {
  const ScratchFolder folder;
  const Content four{"1234"}, two{"ab"};
  const auto a = four.tensor("a", DType::kFloat32, {1}), b = two.tensor("b", DType::kBFloat16, {1}),
             c = four.tensor("c", DType::kFloat32, {1});
  write_safetensors(folder / "1", {a, b, c});
  write_safetensors(folder / "2", {c, b, a});
  EXPECT_EQ(folder.read("1"), folder.read("2"));
}

// Oracle: the text of the error.
TEST(Safetensors, RefusesImpossibleHeaderLengths) {
  EXPECT_THAT(error_of(""), HasSubstr("is 0 bytes long"));
  EXPECT_THAT(error_of("1234567"), HasSubstr("is 7 bytes long"));
  EXPECT_THAT(error_of(std::string(8, '\0')), HasSubstr("header length 0 is not possible"));
  EXPECT_THAT(error_of(std::string("\0\0\0\0\0\0\0\x80", 8) + "{}"),
              HasSubstr("header length 9223372036854775808 is not possible"));
  EXPECT_THAT(error_of(std::string(8, '\xff') + "{}"), HasSubstr("is not possible"));
  EXPECT_THAT(error_of(std::string("\x10\0\0\0\0\0\0\0", 8) + "{}"), HasSubstr("header of 16 bytes"));
}

// Oracle: the text of the error.
TEST(Safetensors, RefusesHeadersThatAreNoJsonObject) {
  EXPECT_THAT(error_of_header("[]", 0), HasSubstr("does not start with '{'"));
  EXPECT_THAT(error_of_header(R"({"a": )", 0), HasSubstr("not valid JSON at byte 6"));
  EXPECT_THAT(error_of_header(R"({"a": 1})", 0), HasSubstr("the key \"dtype\" is missing"));
  std::string deep = R"({"a": )" + std::string(200, '[') + std::string(200, ']') + "}";
  EXPECT_THAT(error_of_header(deep, 0), HasSubstr("nested too deeply"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                              R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                              2),
              HasSubstr("the key \"a\" stands twice"));
}

// Oracle: the text of the error names the tensor.
TEST(Safetensors, RefusesBadTensors) {
  struct Case {
    const char *entry, *problem;
  };
  const Case cases[] = {
      {R"({"dtype":"F32","shape":[-1],"data_offsets":[0,8]})", "has no valid shape"},
      {R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})", "has no valid shape"},
      {R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", "has no valid shape"},
      {R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})", "has no valid shape"},
      {R"({"dtype":"F32","data_offsets":[0,8]})", "has no valid shape"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,9]})", "has no valid data_offsets"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[-1,7]})", "has no valid data_offsets"},
      {R"({"dtype":"F32","shape":[2]})", "has no valid data_offsets"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "ends at byte 0"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,9]})", "ends at byte 9 of the data, the file has 8"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]})",
       "ends at byte 18446744073709551615"},
      {R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", "has 8 bytes, which its shape and dtype deny"},
      {R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]})", "deny"},
      {R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})", "dtype F8_E4M3 is not supported"},
      {R"({"dtype":5,"shape":[8],"data_offsets":[0,8]})", "the key \"dtype\" has the wrong type"},
  };
  for (const auto& [entry, problem] : cases) {
    const auto error = error_of_header(R"({"wide":)" + std::string(entry) + "}", 8);
    EXPECT_THAT(error, HasSubstr(problem));
    EXPECT_THAT(error, HasSubstr("'wide'"));
  }
}

// Oracle: the text of the error.
TEST(Safetensors, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& first, const std::string& second, std::size_t bytes) {
    return error_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                           bytes);
  };
  EXPECT_THAT(two("[0,4]", "[2,6]", 6), HasSubstr("overlap or leave a hole at byte 4"));
  EXPECT_THAT(two("[0,4]", "[0,4]", 4), HasSubstr("overlap or leave a hole at byte 4"));
  EXPECT_THAT(two("[0,4]", "[5,9]", 9), HasSubstr("overlap or leave a hole at byte 4"));
  EXPECT_THAT(two("[1,5]", "[5,9]", 9), HasSubstr("overlap or leave a hole at byte 0"));
  EXPECT_THAT(two("[0,4]", "[4,8]", 9), HasSubstr("end at byte 8 of the data, the file has 9"));
}

// Oracle: every prefix of a good file is refused.
TEST(Safetensors, RefusesEveryTruncation) {
  const ScratchFolder folder;
  const Content eight{"abcdefgh"};
  write_safetensors(folder / "w",
                    {eight.tensor("a", DType::kFloat32, {2}), eight.tensor("b", DType::kFloat32, {2})});
  const auto whole = folder.read("w");
  for (std::size_t size = 0; size < whole.size(); ++size) error_of(whole.substr(0, size));
}

// Oracle: the metadata of the reference implementation may hold anything.
TEST(Safetensors, IgnoresMetadata) {
  const ScratchFolder folder;
  const auto path = folder.write("w", file_bytes(R"({"__metadata__":{"any":"text"}}   )", ""));
  EXPECT_TRUE(SafetensorsFile(path).tensors().empty());
}

class ShardedFolder : public testing::Test {
 protected:
  void SetUp() override {
    files_ = write_safetensors_folder(
        folder_.path(),
        {eight_.tensor("a", DType::kFloat32, {2}), four_.tensor("b", DType::kFloat32, {1}),
         eight_.tensor("c", DType::kFloat32, {2})},
        /*shard_bytes=*/12);
  }
  void set_index(const std::string& tensor, const std::string& file) {
    Json index = Json::parse(folder_.read(kIndex));
    index["weight_map"][tensor] = file;
    folder_.write(kIndex, index.dump());
  }
  std::string load_error(const std::string& part) {
    return expect_user_error(ExitCode::kModel, part, [&] { SafetensorsFolder loaded(folder_.path()); });
  }

  static constexpr const char* kIndex = "model.safetensors.index.json";
  const Content eight_{"abcdefgh"}, four_{"1234"};
  ScratchFolder folder_;
  std::vector<std::string> files_;
};

// Oracle: the sizes added by hand.
TEST_F(ShardedFolder, HasAnIndexAndItsShards) {
  EXPECT_EQ(files_, (std::vector<std::string>{"model-00001-of-00002.safetensors",
                                              "model-00002-of-00002.safetensors", kIndex}));
  const Json index = Json::parse(folder_.read(kIndex));
  EXPECT_EQ(index["metadata"]["total_size"], 20);
  EXPECT_EQ(index["metadata"]["total_parameters"], 5);
  EXPECT_EQ(index["weight_map"]["b"], files_[0]);
  EXPECT_EQ(index["weight_map"]["c"], files_[1]);
  const SafetensorsFolder loaded(folder_.path());
  EXPECT_EQ(text_of(loaded.tensor("b")), "1234");
  EXPECT_EQ(loaded.file_of("c"), (folder_ / files_[1]).string());
  EXPECT_FALSE(loaded.contains("d"));
  expect_user_error(ExitCode::kModel, "tensor 'd' is missing", [&] { loaded.tensor("d"); });
}

// Oracle: one file, no index.
TEST_F(ShardedFolder, OneShardHasNoIndex) {
  const ScratchFolder folder;
  EXPECT_EQ(write_safetensors_folder(folder.path(), {four_.tensor("b", DType::kFloat32, {1})}, 4),
            std::vector<std::string>{"model.safetensors"});
  EXPECT_EQ(text_of(SafetensorsFolder(folder.path()).tensor("b")), "1234");
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
}

// Oracle: the text of the error.
TEST_F(ShardedFolder, RefusesAMissingShard) {
  std::filesystem::remove(folder_ / files_[1]);
  load_error("names the file model-00002-of-00002.safetensors, which is missing");
}

// Oracle: the text of the error names tensor and file.
TEST_F(ShardedFolder, RefusesATensorThatTheIndexPromises) {
  set_index("d", files_[1]);
  EXPECT_THAT(load_error("tensor 'd' is missing"), HasSubstr(files_[1]));
  set_index("d", files_[0]);
  set_index("b", files_[1]);
  EXPECT_THAT(load_error("tensor 'b' is missing"), HasSubstr(files_[1]));
}

// Oracle: the text of the error; no file outside of the folder is opened.
TEST_F(ShardedFolder, RefusesPathsOutOfTheFolder) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ".", ""}) {
    set_index("d", name);
    load_error(folder_.path().string());
  }
  set_index("d", "../model.safetensors");
  load_error("which is not in the folder");
}

// Oracle: the text of the error.
TEST_F(ShardedFolder, RefusesATensorInTwoShards) {
  write_safetensors(folder_ / files_[1],
                    {four_.tensor("b", DType::kFloat32, {1}), eight_.tensor("c", DType::kFloat32, {2})});
  load_error("tensor 'b' stands in two files");
}

// Oracle: the text of the error.
TEST_F(ShardedFolder, RefusesADamagedIndex) {
  folder_.write(kIndex, R"({"metadata": {}})");
  load_error("the key \"weight_map\" is missing");
  folder_.write(kIndex, R"({"weight_map": {"a": 1}})");
  load_error("the key \"weight_map\" has the wrong type");
  folder_.write(kIndex, "[1]");
  load_error(kIndex);
}

// Oracle: the text of the error.
TEST(SafetensorsFolder, RefusesAFolderWithoutWeights) {
  const ScratchFolder folder;
  expect_user_error(ExitCode::kModel, "there is neither model.safetensors nor",
                    [&] { SafetensorsFolder f(folder.path()); });
}

}  // namespace
}  // namespace anneal
