// Parquet files and the three shapes of Arrow IPC (file, stream, pipe) as one sequence of record batches.
#pragma once
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/arrow_rows.h"

namespace anneal {

class RecordBatches {
 public:
  virtual ~RecordBatches() = default;
  // Null at the end. Throws UserError(kData) where the data is damaged.
  virtual std::shared_ptr<arrow::RecordBatch> next() = 0;
};

// The positions of the columns to read, ascending, out of all columns of a file.
using ChooseColumns = std::function<std::vector<int>(const arrow::Schema&)>;

// The batches hold the chosen columns alone.
std::unique_ptr<RecordBatches> open_record_batches(const ArrowInput& input, const ChooseColumns& choose);

}  // namespace anneal
