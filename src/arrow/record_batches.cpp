#include "arrow/record_batches.h"

#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace anneal {
namespace {

constexpr std::int64_t kRowsOfBatch = 1024;
constexpr std::string_view kIpcFileMagic = "ARROW1";

[[noreturn]] void fail_damaged(const std::string& name, const std::string& reason) {
  fail(ExitCode::kData, "cannot read the data: " + reason, name, "download or write the file again");
}

void require(const arrow::Status& status, const std::string& name) {
  if (!status.ok()) fail_damaged(name, status.message());
}

template <class Value>
Value require(arrow::Result<Value> result, const std::string& name) {
  require(result.status(), name);
  return std::move(result).ValueUnsafe();
}

// Not mapped: its pages would stay, and count as memory of this process.
std::shared_ptr<arrow::io::RandomAccessFile> open_file(const ArrowInput& input) {
  const auto name = input.file.path.string();
  // Arrow closes the descriptor that it gets.
  const std::shared_ptr<arrow::io::RandomAccessFile> file =
      require(input.content < 0 ? arrow::io::ReadableFile::Open(name)
                                : arrow::io::ReadableFile::Open(::dup(input.content)),
              name);
  if (require(file->GetSize(), name) == 0) fail_damaged(name, "the file is empty");
  return file;
}

// Adds the leaves of a Parquet column: a nested one has several.
void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& leaves) {
  if (field.is_leaf()) leaves.push_back(field.column_index);
  for (const auto& child : field.children) add_leaves(child, leaves);
}

class ParquetBatches : public RecordBatches {
 public:
  ParquetBatches(const ArrowInput& input, const ChooseColumns& choose) : name_(input.file.path.string()) {
    auto properties = parquet::default_reader_properties();
    properties.enable_buffered_stream();  // pages one after another, not a whole column of a row group
    auto arrow_properties = parquet::default_arrow_reader_properties();
    arrow_properties.set_batch_size(kRowsOfBatch);
    arrow_properties.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    require(builder.Open(open_file(input), properties), name_);
    file_ = require(builder.properties(arrow_properties)->Build(), name_);
    std::shared_ptr<arrow::Schema> schema;
    require(file_->GetSchema(&schema), name_);
    std::vector<int> groups(file_->num_row_groups()), leaves;
    for (int group = 0; group < file_->num_row_groups(); ++group) groups[group] = group;
    for (const int column : choose(*schema)) add_leaves(file_->manifest().schema_fields[column], leaves);
    batches_ = require(file_->GetRecordBatchReader(groups, leaves), name_);
  }

  std::shared_ptr<arrow::RecordBatch> next() override {
    std::shared_ptr<arrow::RecordBatch> batch;
    require(batches_->ReadNext(&batch), name_);
    return batch;
  }

 private:
  std::string name_;
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
};

arrow::ipc::IpcReadOptions ipc_options(std::vector<int> columns) {
  auto options = arrow::ipc::IpcReadOptions::Defaults();
  options.included_fields = std::move(columns);
  options.use_threads = false;
  return options;
}

// Offsets are as the file says: they are looked at before anything follows them.
std::shared_ptr<arrow::RecordBatch> checked(std::shared_ptr<arrow::RecordBatch> batch,
                                            const std::string& name) {
  if (batch) require(batch->ValidateFull(), name);
  return batch;
}

class IpcFileBatches : public RecordBatches {
 public:
  IpcFileBatches(std::shared_ptr<arrow::io::RandomAccessFile> file, const std::string& name,
                 const ChooseColumns& choose)
      : name_(name) {
    const auto whole = require(arrow::ipc::RecordBatchFileReader::Open(file, ipc_options({})), name_);
    chosen_ = choose(*whole->schema());
    file_ = require(arrow::ipc::RecordBatchFileReader::Open(file, ipc_options(chosen_)), name_);
  }

  std::shared_ptr<arrow::RecordBatch> next() override {
    if (position_ == file_->num_record_batches()) return nullptr;
    auto batch = require(file_->ReadRecordBatch(position_++), name_);
    if (chosen_.empty()) batch = require(batch->SelectColumns({}), name_);
    return checked(std::move(batch), name_);
  }

 private:
  std::string name_;
  std::vector<int> chosen_;  // none of them means all of them to the reader
  std::shared_ptr<arrow::ipc::RecordBatchFileReader> file_;
  int position_ = 0;
};

class IpcStreamBatches : public RecordBatches {
 public:
  IpcStreamBatches(std::shared_ptr<arrow::io::InputStream> stream, const std::string& name,
                   const ChooseColumns& choose)
      : name_(name) {
    stream_ = require(arrow::ipc::RecordBatchStreamReader::Open(std::move(stream), ipc_options({})), name_);
    chosen_ = choose(*stream_->schema());
  }

  std::shared_ptr<arrow::RecordBatch> next() override {
    std::shared_ptr<arrow::RecordBatch> batch;
    require(stream_->ReadNext(&batch), name_);
    if (batch) batch = require(batch->SelectColumns(chosen_), name_);
    return checked(std::move(batch), name_);
  }

 private:
  std::string name_;
  std::shared_ptr<arrow::RecordBatchReader> stream_;
  std::vector<int> chosen_;
};

// The end of a pipe, which it closes.
class PipeStream : public arrow::io::InputStream {
 public:
  explicit PipeStream(int descriptor) : descriptor_(descriptor) {}
  ~PipeStream() override { ::close(descriptor_); }
  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }
  arrow::Result<std::int64_t> Tell() const override { return position_; }

  arrow::Result<std::int64_t> Read(std::int64_t count, void* out) override {
    std::int64_t done = 0;
    while (done < count) {
      const auto read = ::read(descriptor_, static_cast<char*>(out) + done, count - done);
      if (read < 0 && errno == EINTR) continue;
      if (read < 0) return arrow::Status::IOError("reading a pipe: ", std::strerror(errno));
      if (read == 0) break;
      done += read;
    }
    position_ += done;
    return done;
  }

  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(count));
    ARROW_ASSIGN_OR_RAISE(const auto read, Read(count, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(read));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }

 private:
  int descriptor_;
  std::int64_t position_ = 0;
};

std::unique_ptr<RecordBatches> open_ipc(const ArrowInput& input, const ChooseColumns& choose) {
  const auto name = input.file.path.string();
  if (input.stream >= 0)
    return std::make_unique<IpcStreamBatches>(std::make_shared<PipeStream>(input.stream), name, choose);
  const auto file = open_file(input);
  const auto start = require(file->ReadAt(0, kIpcFileMagic.size()), name);
  if (std::string_view(*start) == kIpcFileMagic) return std::make_unique<IpcFileBatches>(file, name, choose);
  require(file->Seek(0), name);  // it refuses to be read on after ReadAt()
  return std::make_unique<IpcStreamBatches>(file, name, choose);
}

}  // namespace

std::unique_ptr<RecordBatches> open_record_batches(const ArrowInput& input, const ChooseColumns& choose) {
  try {
    if (input.file.kind == FileKind::kParquet) return std::make_unique<ParquetBatches>(input, choose);
    return open_ipc(input, choose);
  } catch (const parquet::ParquetException& error) {
    fail_damaged(input.file.path.string(), error.what());
  }
}

}  // namespace anneal
