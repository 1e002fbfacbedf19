"""The dataset of ray_train_sft.py: where its rows are, and how a row becomes a prompt and an output."""

from dataclasses import dataclass
from typing import Optional


@dataclass
class HFDatasetConfig:
    # begin: made by tools/make_docs from the options of `anneal train`
    # A .jsonl, .json, .csv, .tsv, .txt, .parquet or .arrow file (also .gz or .zst), a folder or a pattern of such files, or
    # the id of a dataset on the Hugging Face hub. Another name than the default resets hfdc_dataset_config and
    # hfdc_field_mapping to empty, unless they are given too.
    dataset_name: str
    # The subset of the dataset; empty: its default one.
    dataset_config: Optional[str] = None
    # The split to read. Slices such as train[:10%] are not supported.
    split: str = "train"
    # Share of the rows for training; 1 leaves nothing for validation and test.
    train_split_ratio: float = 0.9
    # Share of the other rows that goes to test.
    val_test_split_ratio: float = 0.5
    # The prompt, with {column} placeholders, {column.key.0} for a value inside; {{ and }} are braces.
    input_template: str = "### Instruction:\n{instruction}\n### Input:\n{input}\n"
    # The text to learn, in the same form.
    output_template: str = "### Response:\n{output}"
    # JSON object from placeholder to column, or column.key.0 for a value inside; a placeholder that is not in it is the
    # column of that name.
    field_mapping: Optional[dict[str, str]] = None
    # Takes the rows as chats, in the place of the templates: the column that holds the list of messages, [{"role",
    # "content"}] or ShareGPT's [{"from", "value"}]. Chats are written as the model's own chat template says, and the
    # assistant's turns are trained. A column tools, where there is one (or what hfdc_field_mapping maps it to), holds the
    # tools of a row.
    messages_field: str = ""
    # Accepted for compatibility: one thread makes the rows, others hash and write behind it.
    num_proc: int = 8
    # Branch, tag or commit of a dataset on the hub.
    revision: str = "main"
    # end: made by tools/make_docs
