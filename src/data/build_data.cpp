#include "data/build_data.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <span>

#include "base/background_tasks.h"
#include "base/file.h"
#include "base/sha256.h"
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
      if (renderer.render(cells, {place, count - 1}, line)) spool.append(line);
    } catch (const BadRow& row) {
      bad_rows.spend(row);
    }
  }
}

void check_usable(const DatasetOptions& options, const std::string& name, RowRenderer& renderer,
                  std::int64_t rows, std::int64_t records) {
  if (rows == 0) fail(ExitCode::kData, "the dataset holds no rows", name, "name another dataset or split");
  const auto unseen = renderer.unseen_columns();
  if (!unseen.empty() && !options.hfdc_messages_field.empty())
    fail(ExitCode::kData, "no row has the column " + quoted_list(unseen), name,
         "the columns are " + quoted_list(renderer.columns().names()) +
             "; name the one that holds the chats with --hfdc_messages_field");
  if (!unseen.empty())
    fail(ExitCode::kData, "the templates need the column " + quoted_list(unseen) + ", which no row has", name,
         "the columns are " + quoted_list(renderer.columns().names()) +
             "; use them in --hfdc_input_template and --hfdc_output_template, or map them with "
             "--hfdc_field_mapping");
  if (records == 0)
    fail(ExitCode::kData, "all " + std::to_string(rows) + " rows are empty", name,
         options.hfdc_messages_field.empty()
             ? "check the templates, or keep empty outputs with --keep_empty_output"
             : "name the column of the chats with --hfdc_messages_field; a chat needs a turn of the "
               "assistant");
}

// Appends the rows of dataset `index` to the spool, and what they count to the manifest.
void render_dataset(const BuildInput& input, std::size_t index, RowFormat format, const fs::path& scratch,
                    BadRowBudget& bad_rows, Spool& spool, Manifest& manifest) {
  const auto& source = input.sources[index];
  const auto& name = input.datasets[index].name;
  const auto renderer = make_row_renderer(input.options, std::move(format));
  const auto before = spool.lines();
  std::int64_t rows = 0;
  if (source.by_library)
    rows = render_rows(*open_library_rows(*source.by_library, renderer->columns()), name, *renderer, bad_rows,
                       spool);
  else
    for (const auto& file : source.files)
      rows += render_rows(*open_rows(file, renderer->columns(), scratch), file.path.string(), *renderer,
                          bad_rows, spool);
  check_usable(input.options, name, *renderer, rows, spool.lines() - before);
  for (const auto& [reason, count] : renderer->dropped()) manifest.dropped[reason] += count;
  manifest.null_fields += renderer->null_fields();
}

constexpr std::size_t kPieceBytes = 1 << 20;

// What stands in which file.
struct Parts {
  std::span<const std::int64_t> test, validation, training;
};

std::vector<DatasetRows> count_rows(const BuildInput& input, std::span<const std::int64_t> ends,
                                    const Parts& parts) {
  std::vector<DatasetRows> counts;
  for (std::size_t index = 0; index < ends.size(); ++index)
    counts.push_back({input.datasets[index].name, ends[index] - (index > 0 ? ends[index - 1] : 0)});
  for (const auto record : parts.training) ++counts[dataset_of(record, ends)].training;
  for (const auto record : parts.validation) ++counts[dataset_of(record, ends)].validation;
  for (const auto record : parts.test) ++counts[dataset_of(record, ends)].test;
  return counts;
}

// One thread gathers the lines and writes, another hashes.
DataFile write_part(const fs::path& path, Spool& spool, std::span<const std::int64_t> order) {
  DataFile written{.rows = static_cast<std::int64_t>(order.size())};
  AtomicFile file(path);
  Sha256 hash;
  BackgroundTasks hasher;
  for (std::size_t next = 0; next < order.size();) {
    const auto piece = std::make_shared<std::string>();
    piece->reserve(kPieceBytes + kPieceBytes / 8);
    while (next < order.size() && piece->size() < kPieceBytes) spool.append_line_to(*piece, order[next++]);
    hasher.run([piece, &hash] { hash.update(*piece); });
    file.append(*piece);
    written.bytes += piece->size();
  }
  hasher.finish();
  file.commit();
  written.sha256 = hash.hex();
  return written;
}

}  // namespace

void build_data(const BuildInput& input, const fs::path& target, Manifest& manifest, const Log& log) {
  const auto& options = input.options;
  std::vector<Problem> problems;
  const auto format = row_format(options, problems);
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  for (const auto& warning : format.warnings) log("warning: " + warning);

  BadRowBudget bad_rows(options.skip_bad_rows);
  Spool spool(target, input.split_seed);
  std::vector<std::int64_t> ends;  // records of this dataset and those before it
  for (std::size_t index = 0; index < input.sources.size(); ++index) {
    render_dataset(input, index, format, target, bad_rows, spool, manifest);
    ends.push_back(spool.lines());
  }
  spool.finish();
  for (const auto& row : bad_rows.first_skipped()) log("warning: skipped " + row);

  const auto counts =
      split_counts(spool.lines(), options.hfdc_train_split_ratio, options.hfdc_val_test_split_ratio);
  const auto order = hashed_order(spool.lines(), input.split_seed);
  const std::span all(order);
  Parts parts{all.first(counts.test), all.subspan(counts.test, counts.validation), all.last(counts.training)};
  std::vector<std::int64_t> mixed;
  if (input.datasets.front().weight) {
    std::vector<double> weights;
    for (const auto& dataset : input.datasets) weights.push_back(*dataset.weight);
    parts.training = mixed = mixed_order(parts.training, ends, weights, input.split_seed);
  }
  if (!options.data.empty()) manifest.datasets = count_rows(input, ends, parts);
  manifest.test = write_part(target / kTestFile, spool, parts.test);
  manifest.validation = write_part(target / kValidationFile, spool, parts.validation);
  manifest.training = write_part(target / kTrainingFile, spool, parts.training);
  manifest.skipped_rows = bad_rows.skipped();
  manifest.created = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace anneal
