#include "data/build_data.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <span>

#include "base/file.h"
#include "data/library_rows.h"
#include "data/row_source.h"
#include "data/split.h"
#include "data/spool.h"
#include "formats/jsonl.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

// Renders rows; what it counts goes into the manifest.
class RowRenderer {
 public:
  RowRenderer(const DatasetOptions& options, RowFormat format)
      : format_(std::move(format)),
        keep_empty_output_(options.keep_empty_output),
        wanted_(wanted_columns()),
        columns_(wanted_) {
    input_columns_ = indices_of(format_.input);
    output_columns_ = indices_of(format_.output);
  }

  // False where the row is dropped.
  bool render(const std::vector<Cell>& cells, std::string& line) {
    const bool empty_output = fill(format_.output, output_columns_, cells, output_);
    fill(format_.input, input_columns_, cells, input_);
    for (const auto& cell : cells)
      null_fields_ += cell.kind == CellKind::kNull || cell.kind == CellKind::kMissing;
    if (input_.empty() && output_.empty()) return drop("empty");
    if (empty_output && !keep_empty_output_) return drop("empty_output");
    line.clear();
    append_text_pair(line, {input_, output_});
    return true;
  }

  ColumnPicker& columns() { return columns_; }
  const std::map<std::string, std::int64_t>& dropped() const { return dropped_; }
  std::int64_t null_fields() const { return null_fields_; }

  std::vector<std::string> missing_columns() const {
    std::vector<std::string> missing;
    for (std::size_t index = 0; index < wanted_.size(); ++index)
      if (!columns_.was_found(index)) missing.push_back(wanted_[index]);
    return missing;
  }

 private:
  std::vector<std::string> wanted_columns() const {
    std::vector<std::string> wanted;
    for (const auto& [name, column] : format_.columns)
      if (std::find(wanted.begin(), wanted.end(), column) == wanted.end()) wanted.push_back(column);
    return wanted;
  }

  std::vector<std::size_t> indices_of(const Template& text) const {
    std::vector<std::size_t> indices;
    for (const auto& name : text.fields()) {
      const auto& column = format_.columns.at(name);
      indices.push_back(std::find(wanted_.begin(), wanted_.end(), column) - wanted_.begin());
    }
    return indices;
  }

  // True where all columns of the template are empty.
  bool fill(const Template& text, const std::vector<std::size_t>& indices, const std::vector<Cell>& cells,
            std::string& out) {
    bool empty = true;
    values_.clear();
    for (const auto index : indices) {
      values_.push_back(cells[index].text);
      empty = empty && values_.back().empty();
    }
    out.clear();
    text.append_to(out, values_);
    return empty;
  }

  bool drop(const char* reason) {
    ++dropped_[reason];
    return false;
  }

  RowFormat format_;
  bool keep_empty_output_;
  std::vector<std::string> wanted_;
  std::vector<std::size_t> input_columns_, output_columns_;
  std::vector<std::string_view> values_;
  std::string input_, output_;
  ColumnPicker columns_;
  std::map<std::string, std::int64_t> dropped_;
  std::int64_t null_fields_ = 0;
};

std::string quoted_list(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return text;
}

std::int64_t render_rows(RowSource& rows, RowRenderer& renderer, BadRowBudget& bad_rows, Spool& spool) {
  std::vector<Cell> cells;
  std::string line;
  std::int64_t count = 0;
  while (true) {
    try {
      if (!rows.next(cells)) return count;
    } catch (const BadRow& row) {
      bad_rows.spend(row);
      continue;
    }
    ++count;
    if (renderer.render(cells, line)) spool.append(line);
  }
}

void check_usable(const DatasetOptions& options, RowRenderer& renderer, std::int64_t rows,
                  const Spool& spool) {
  if (rows == 0)
    fail(ExitCode::kData, "the dataset holds no rows", options.hfdc_dataset_name,
         "name another dataset or split");
  if (const auto missing = renderer.missing_columns(); !missing.empty())
    fail(ExitCode::kData, "the templates need the column " + quoted_list(missing) + ", which no row has",
         options.hfdc_dataset_name,
         "the columns are " + quoted_list(renderer.columns().names()) +
             "; use them in --hfdc_input_template and --hfdc_output_template, or map them with "
             "--hfdc_field_mapping");
  if (spool.records() == 0)
    fail(ExitCode::kData, "all " + std::to_string(rows) + " rows are empty", options.hfdc_dataset_name,
         "check the templates, or keep empty outputs with --keep_empty_output");
}

DataFile write_part(const fs::path& path, const Spool& spool, std::span<const std::int64_t> order) {
  {
    AtomicFile file(path);
    for (const auto index : order) file.append(spool.record(index));
    file.commit();
  }
  return measure(path, static_cast<std::int64_t>(order.size()));
}

}  // namespace

void build_data(const BuildInput& input, const fs::path& target, Manifest& manifest, const Log& log) {
  const auto& options = input.options;
  std::vector<Problem> problems;
  auto format = row_format(options, problems);
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  for (const auto& warning : format.warnings) log("warning: " + warning);

  RowRenderer renderer(options, std::move(format));
  BadRowBudget bad_rows(options.skip_bad_rows);
  Spool spool(target);
  std::int64_t rows = 0;
  if (input.source.by_library) {
    rows = render_rows(*open_library_rows(*input.source.by_library, renderer.columns()), renderer, bad_rows,
                       spool);
  } else {
    for (const auto& file : input.source.files)
      rows += render_rows(*open_rows(file, renderer.columns(), target), renderer, bad_rows, spool);
  }
  check_usable(options, renderer, rows, spool);
  spool.finish();
  for (const auto& row : bad_rows.first_skipped()) log("warning: skipped " + row);

  const auto counts =
      split_counts(spool.records(), options.hfdc_train_split_ratio, options.hfdc_val_test_split_ratio);
  const auto order = split_order(spool.records(), input.split_seed);
  const std::span all(order);
  manifest.test = write_part(target / kTestFile, spool, all.first(counts.test));
  manifest.validation =
      write_part(target / kValidationFile, spool, all.subspan(counts.test, counts.validation));
  manifest.training = write_part(target / kTrainingFile, spool, all.last(counts.training));
  manifest.dropped = renderer.dropped();
  manifest.null_fields = renderer.null_fields();
  manifest.skipped_rows = bad_rows.skipped();
  manifest.created = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  write_manifest(target, manifest);
}

}  // namespace anneal
