"""Writes the rows of a dataset's folder to standard output as an Arrow IPC stream, by the `datasets` library.

The library runs no code of a dataset.
"""

import argparse
import os
import sys

ROWS_OF_BATCH = 1000


def as_stored(dataset):
    """Images, sounds and videos as the bytes and paths that they are, so that nothing decodes them."""
    for name, feature in (dataset.features or {}).items():
        if hasattr(feature, "decode"):
            feature.decode = False
            dataset = dataset.cast_column(name, feature)
    return dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--folder", "--config", "--split"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    # What the library prints must not get into the stream.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import datasets
    import pyarrow

    datasets.disable_progress_bars()
    dataset = datasets.load_dataset(given.folder, given.config or None, split=given.split, streaming=True)
    writer = schema = None
    for table in as_stored(dataset).with_format("arrow").iter(batch_size=ROWS_OF_BATCH):
        if writer is None:
            schema = table.schema
            writer = pyarrow.ipc.new_stream(output, schema)
        writer.write_table(table.cast(schema))
    if writer is None:
        sys.exit("the split has no rows")
    writer.close()
    output.close()


if __name__ == "__main__":
    main()
