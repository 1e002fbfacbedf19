// A row of a dataset as a line of the prepared files: by templates, or as the chat that it holds.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset_options.h"
#include "data/row_source.h"

namespace anneal {

struct RowPlace {
  const std::string& source;
  std::int64_t row;  // from 0
};

class RowRenderer {
 public:
  virtual ~RowRenderer() = default;
  RowRenderer(const RowRenderer&) = delete;
  RowRenderer& operator=(const RowRenderer&) = delete;

  // Puts the line of the row with these cells into `line`; false where the row is dropped. Throws BadRow.
  virtual bool render(const std::vector<Cell>& cells, const RowPlace& place, std::string& line) = 0;

  // Those that are needed and that no row has had.
  std::vector<std::string> unseen_columns() const;

  ColumnPicker& columns() { return columns_; }
  const std::map<std::string, std::int64_t>& dropped() const { return dropped_; }
  std::int64_t null_fields() const { return null_fields_; }  // null or missing values that became empty texts

 protected:
  // The first `needed` of `wanted` have to be columns of the dataset.
  RowRenderer(std::vector<std::string> wanted, std::size_t needed)
      : wanted_(std::move(wanted)), needed_(needed), columns_(wanted_) {}

  const std::vector<std::string>& wanted() const { return wanted_; }
  void count_null_fields(const std::vector<Cell>& cells);
  bool drop(const char* reason) {
    ++dropped_[reason];
    return false;
  }

 private:
  std::vector<std::string> wanted_;
  std::size_t needed_;
  ColumnPicker columns_;
  std::map<std::string, std::int64_t> dropped_;
  std::int64_t null_fields_ = 0;
};

// By what `options` ask for: templates, or --hfdc_messages_field.
std::unique_ptr<RowRenderer> make_row_renderer(const DatasetOptions& options, RowFormat format);

}  // namespace anneal
