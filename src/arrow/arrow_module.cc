// The shared object's only symbol. Its rows and errors are those of the program, which both were built with.
#include "arrow/arrow_row_source.h"

extern "C" __attribute__((visibility("default"))) anneal::RowSource* anneal_open_arrow_rows(
    const anneal::ArrowInput& input, anneal::ColumnPicker& columns) {
  return anneal::make_arrow_row_source(input, columns).release();
}
