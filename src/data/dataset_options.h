// Where the data comes from and how a row becomes a prompt and an output.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"
#include "data/template.h"

namespace anneal {

inline constexpr const char* kDefaultDataset = "cognitivecomputations/dolphin";
inline constexpr const char* kDefaultDatasetConfig = "flan1m-alpaca-uncensored";
inline constexpr const char* kDefaultFieldMapping =
    R"({"instruction": "instruction", "input": "input", "output": "output"})";

struct DatasetOptions {
  std::string hfdc_dataset_name = kDefaultDataset;
  std::string hfdc_dataset_config = kDefaultDatasetConfig;
  std::string hfdc_split = "train";
  std::string hfdc_revision = "main";
  double hfdc_train_split_ratio = 0.9;
  double hfdc_val_test_split_ratio = 0.5;
  std::string hfdc_input_template = "### Instruction:\n{instruction}\n### Input:\n{input}\n";
  std::string hfdc_output_template = "### Response:\n{output}";
  std::string hfdc_field_mapping = kDefaultFieldMapping;
  std::string hfdc_messages_field;
  std::vector<std::string> data;
  std::int64_t hfdc_num_proc = 8;
  std::string data_dir;
  std::optional<std::int64_t> split_seed;
  std::string template_escapes = "newline";
  bool force_data = false;
  std::int64_t skip_bad_rows = 0;
  bool keep_empty_output = false;
  bool offline = false;

  // Set by resolve(): false where no flag describes the data, so that an existing --data_dir is taken as it
  // is.
  bool describes_dataset = true;

  static void fields(auto& c, auto field) {
    field("hfdc_dataset_name", c.hfdc_dataset_name,
          "A .jsonl, .json, .csv, .tsv, .txt, .parquet or .arrow file (also .gz or .zst), a folder or "
          "a pattern of such files, or the id of a dataset on the Hugging Face hub. Another name than the "
          "default resets hfdc_dataset_config and hfdc_field_mapping to empty, "
          "unless "
          "they are given too.");
    field("data", c.data,
          "NAME or NAME:WEIGHT, once for each of several datasets, in the place of hfdc_dataset_name; the "
          "other "
          "flags are for all of them. Weights are shares of the training rows; without any, all rows of all "
          "datasets are taken once.");
    field("hfdc_dataset_config", c.hfdc_dataset_config, "The subset of the dataset; empty: its default one.");
    field("hfdc_split", c.hfdc_split, "The split to read. Slices such as train[:10%] are not supported.");
    field("hfdc_train_split_ratio", c.hfdc_train_split_ratio,
          "Share of the rows for training; 1 leaves nothing for validation and test.",
          FieldTraits{.minimum = 0, .maximum = 1, .exclusive_minimum = true});
    field("hfdc_val_test_split_ratio", c.hfdc_val_test_split_ratio,
          "Share of the other rows that goes to test.", FieldTraits{.minimum = 0, .maximum = 1});
    field("hfdc_input_template", c.hfdc_input_template,
          "The prompt, with {column} placeholders, {column.key.0} for a value inside; {{ and }} are braces.");
    field("hfdc_output_template", c.hfdc_output_template, "The text to learn, in the same form.");
    field("hfdc_field_mapping", c.hfdc_field_mapping,
          "JSON object from placeholder to column, or column.key.0 for a value inside; a placeholder that is "
          "not in it is the column of that name.",
          FieldTraits{.json_text = true});
    field(
        "hfdc_messages_field", c.hfdc_messages_field,
        "Takes the rows as chats, in the place of the templates: the column that holds the list of messages, "
        "[{\"role\", \"content\"}] or ShareGPT's [{\"from\", \"value\"}]. Chats are written as the model's "
        "own "
        "chat template says, and the assistant's turns are trained. A column tools, where there is one (or "
        "what "
        "hfdc_field_mapping maps it to), holds the tools of a row.");
    field("hfdc_num_proc", c.hfdc_num_proc,
          "Accepted for compatibility: one thread makes the rows, others hash and write behind it.",
          FieldTraits{.minimum = 1});
    field("hfdc_revision", c.hfdc_revision, "Branch, tag or commit of a dataset on the hub.");
    field("data_dir", c.data_dir,
          "The folder of training.jsonl, validation.jsonl and test.jsonl. Files that lie there are used; "
          "default: a "
          "folder under datasets/ named after dataset, config and ratios.");
    field("split_seed", c.split_seed, "Seed of the split. Default: seed.");
    field("template_escapes", c.template_escapes,
          "Backslash sequences in templates: newline reads \\n and \\\\ only, c also \\t \\r \\\" \\uXXXX "
          "and refuses "
          "others, none leaves all as they are.",
          FieldTraits{.choices = {"newline", "c", "none"}});
    field("force_data", c.force_data, "Build the data again even where it is ready.");
    field("skip_bad_rows", c.skip_bad_rows, "How many rows that cannot be read may be left out.",
          FieldTraits{.minimum = 0});
    field("keep_empty_output", c.keep_empty_output, "Keep rows whose output columns are all empty.");
    field("offline", c.offline, "Never use the network; HF_HUB_OFFLINE=1 says the same.");
  }

  // Collects every mistake that can be seen without the data.
  void validate(std::vector<Problem>& problems) const;

  std::uint64_t split_seed_or(std::uint64_t seed) const {
    return split_seed ? static_cast<std::uint64_t>(*split_seed) : seed;
  }
};

// Completes what the flags in `given` leave open: with another dataset than the default one, its config and
// mapping do not apply. Call after parsing and before validate().
void resolve(DatasetOptions& options, const std::set<std::string>& given);

// The values in force, one a line, for the console.
std::string describe(const DatasetOptions& options);

struct ChatColumns {
  std::string messages, tools;
};

// Both templates, and for each of their placeholders the column; or the columns of chats.
struct RowFormat {
  Template input, output;
  std::map<std::string, std::string> columns;
  std::optional<ChatColumns> chat;
  std::vector<std::string> warnings;
};
RowFormat row_format(const DatasetOptions& options, std::vector<Problem>& problems);

}  // namespace anneal
