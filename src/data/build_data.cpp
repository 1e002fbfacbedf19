#include "data/build_data.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <span>

#include "base/file.h"
#include "data/library_rows.h"
#include "data/row_renderer.h"
#include "data/split.h"
#include "data/spool.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

std::string quoted_list(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return text;
}

std::int64_t render_rows(RowSource& rows, const std::string& place, RowRenderer& renderer,
                         BadRowBudget& bad_rows, Spool& spool) {
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
    try {
      if (renderer.render(cells, place + ", row " + std::to_string(count - 1), line)) spool.append(line);
    } catch (const BadRow& row) {
      bad_rows.spend(row);
    }
  }
}

void check_usable(const DatasetOptions& options, RowRenderer& renderer, std::int64_t rows,
                  const Spool& spool) {
  if (rows == 0)
    fail(ExitCode::kData, "the dataset holds no rows", options.hfdc_dataset_name,
         "name another dataset or split");
  const auto unseen = renderer.unseen_columns();
  if (!unseen.empty() && !options.hfdc_messages_field.empty())
    fail(ExitCode::kData, "no row has the column " + quoted_list(unseen), options.hfdc_dataset_name,
         "the columns are " + quoted_list(renderer.columns().names()) +
             "; name the one that holds the chats with --hfdc_messages_field");
  if (!unseen.empty())
    fail(ExitCode::kData, "the templates need the column " + quoted_list(unseen) + ", which no row has",
         options.hfdc_dataset_name,
         "the columns are " + quoted_list(renderer.columns().names()) +
             "; use them in --hfdc_input_template and --hfdc_output_template, or map them with "
             "--hfdc_field_mapping");
  if (spool.records() == 0)
    fail(ExitCode::kData, "all " + std::to_string(rows) + " rows are empty", options.hfdc_dataset_name,
         options.hfdc_messages_field.empty()
             ? "check the templates, or keep empty outputs with --keep_empty_output"
             : "name the column of the chats with --hfdc_messages_field; a chat needs a turn of the "
               "assistant");
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

  const auto made = make_row_renderer(options, std::move(format));
  auto& renderer = *made;
  BadRowBudget bad_rows(options.skip_bad_rows);
  Spool spool(target);
  std::int64_t rows = 0;
  if (input.source.by_library) {
    rows = render_rows(*open_library_rows(*input.source.by_library, renderer.columns()),
                       options.hfdc_dataset_name, renderer, bad_rows, spool);
  } else {
    for (const auto& file : input.source.files)
      rows += render_rows(*open_rows(file, renderer.columns(), target), file.path.string(), renderer,
                          bad_rows, spool);
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
