#include "arrow/arrow_row_source.h"

#include <algorithm>

#include "arrow/arrow_text.h"
#include "arrow/record_batches.h"
#include "formats/utf8.h"

namespace anneal {
namespace {

class ArrowRowSource : public RowSource {
 public:
  ArrowRowSource(const ArrowInput& input, ColumnPicker& columns)
      : name_(input.file.path.string()),
        columns_(columns),
        batches_(open_record_batches(input, [this](const arrow::Schema& schema) { return choose(schema); })) {
  }

  bool next(std::vector<Cell>& cells) override {
    while (!batch_ || row_ == batch_->num_rows()) {
      batch_ = batches_->next();
      row_ = 0;
      if (!batch_) return false;
      batch_columns_ = batch_->columns();
    }
    cells.resize(columns_.wanted());
    for (auto& cell : cells) {
      cell.text.clear();
      cell.kind = CellKind::kMissing;
    }
    const auto row = row_++;
    ++row_of_file_;
    for (const auto& [column, use] : uses_) {
      const auto value = value_at({batch_columns_[column], row}, use.path);
      if (!value) continue;
      columns_.mark_found(use.index);
      fill_cell(cells[use.index], *value->array, value->row);
      check_utf8(cells[use.index].text);
    }
    return true;
  }

 private:
  struct PlacedUse {
    int column;  // of the batches
    ColumnUse use;
  };

  // Of several columns that could hold what was asked for, the one with the longest name of its own counts.
  std::vector<int> choose(const arrow::Schema& schema) {
    std::vector<PlacedUse> uses(columns_.wanted(), {-1, {}});
    for (int column = 0; column < schema.num_fields(); ++column) {
      const auto& field = *schema.field(column);
      for (const auto& use : columns_.uses_of(field.name())) {
        auto& best = uses[use.index];
        if (best.column < 0 || use.path.size() < best.use.path.size()) best = {column, use};
      }
    }
    std::vector<int> chosen;
    for (const auto& [column, use] : uses)
      if (column >= 0) chosen.push_back(column);
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (auto& [column, use] : uses) {
      if (column < 0) continue;
      check_type(*schema.field(column));
      const auto place = std::lower_bound(chosen.begin(), chosen.end(), column) - chosen.begin();
      uses_.push_back({static_cast<int>(place), std::move(use)});
      if (uses_.back().use.path.empty()) columns_.mark_found(uses_.back().use.index);
    }
    return chosen;
  }

  void check_type(const arrow::Field& field) const {
    if (const auto type = type_without_text(*field.type()))
      fail(ExitCode::kData,
           "the column \"" + field.name() + "\" holds the type " + *type + ", which has no text", name_,
           "store it as text, or, a time, in UTC");
  }

  void check_utf8(const std::string& text) const {
    const auto offset = find_invalid_utf8(text);
    if (offset == text.npos) return;
    throw BadRow("byte " + std::to_string(offset) + " of a text is not UTF-8",
                 name_ + ", row " + std::to_string(row_of_file_),
                 "store texts as UTF-8, or allow some bad rows with --skip_bad_rows N");
  }

  std::string name_;
  ColumnPicker& columns_;
  std::vector<PlacedUse> uses_;
  std::unique_ptr<RecordBatches> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  arrow::ArrayVector batch_columns_;
  std::int64_t row_ = 0;          // of the batch
  std::int64_t row_of_file_ = 0;  // from 1
};

}  // namespace

std::unique_ptr<RowSource> make_arrow_row_source(const ArrowInput& input, ColumnPicker& columns) {
  return std::make_unique<ArrowRowSource>(input, columns);
}

}  // namespace anneal
